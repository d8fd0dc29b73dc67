/**
 * Random traffic on the embedded API server while each fault happens to it, and its history checked against the laws of
 * storage and watches. One seed; `make test-history` runs as many as there is time for.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runCampaign } from '../history/campaign.ts'
import { FAULTS, type Fault } from '../history/faults.ts'
import type { IdleReadersReport } from '../history/idle-readers.ts'
import { complaintsOf } from '../history/report.ts'

const SEED = 1

test(`every law holds through every fault (SEED=${SEED})`, async () => {
  const faults = Object.keys(FAULTS) as Fault[]
  const campaign = await runCampaign({ seed: SEED, faults, between: 800 })
  expect(complaintsOf(campaign)).toEqual([])
  expect([...campaign.hits]).toEqual(faults.map((fault) => [fault, 1]))
})

test('a thousand watchers that do not read cost what their buffers may hold, are cut, and keep nobody waiting', () => {
  const program = fileURLToPath(new URL('../history/idle-readers.ts', import.meta.url))
  const { memory, told, kept } = JSON.parse(
    execFileSync('unshare', ['--net', process.execPath, program], { encoding: 'utf8', timeout: 110_000 }),
  ) as IdleReadersReport
  expect({ told, kept }).toEqual({ told: 200, kept: 1 })
  // 256 KiB are held for each before its watch is paused, and the event that made it too much.
  expect(memory.most - memory.watched).toBeLessThan(1000 * ((256 << 10) + 20_000))
})
