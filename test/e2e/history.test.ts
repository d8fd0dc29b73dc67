/**
 * Random traffic on the embedded API server while each fault happens to it, and its history checked against the laws of
 * storage and watches. One seed; `make test-history` runs as many as there is time for.
 */
import { expect, test } from 'vitest'
import { runCampaign } from '../history/campaign.ts'
import { FAULTS, type Fault } from '../history/faults.ts'
import { complaintsOf } from '../history/report.ts'

const SEED = 1

test(`every law holds through every fault (SEED=${SEED})`, async () => {
  const faults = Object.keys(FAULTS) as Fault[]
  const campaign = await runCampaign({ seed: SEED, faults, between: 800 })
  expect(complaintsOf(campaign)).toEqual([])
  expect([...campaign.hits]).toEqual(faults.map((fault) => [fault, 1]))
})
