/**
 * What a network costs a sandbox at its start: create and start of the same sandbox with and without one, in turn. With
 * one it is isolated, as `caisson run` makes it, or opened by one transaction of the firewall, as a plain Pod's is.
 *
 *   node test/bench/network-start.ts [--rounds 20]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createRuntime, defaultToolsDirectory, HOST_IMAGE } from '../../packages/runtime/src/index.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } })
const stateDirectory = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
const runtime = await createRuntime({ stateDirectory, toolsDirectory: defaultToolsDirectory() })
await runtime.recover()

const KINDS = ['none', 'isolated', 'open'] as const
type Kind = (typeof KINDS)[number]

async function start(kind: Kind, round: number): Promise<number> {
  const id = `${kind}-${round}`
  const begun = performance.now()
  const { ip } = await runtime.createSandbox({
    id,
    handler: 'runsc',
    hostname: 'bench',
    network: { kind: kind === 'none' ? 'none' : 'pod' },
    shared: false,
    labels: {},
    limits: {},
  })
  if (kind === 'open' && ip) {
    const elements = [
      { set: 'egress', key: ip, value: 'goto open' },
      { set: 'ingress', key: ip, value: 'accept' },
    ]
    await runtime.network.change(new Map([[id, { elements }]]))
  }
  await runtime.startContainer({
    id: `${id}-0`,
    sandboxId: id,
    image: HOST_IMAGE,
    args: ['/bin/sleep', '600'],
    env: {},
    cwd: '/',
    user: { uid: 65_534, gid: 65_534, additionalGids: [] },
    mounts: [],
    readOnlyRootfs: false,
    noNewPrivileges: true,
    capabilities: [],
    privileged: false,
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(stateDirectory, `${id}.log`),
    labels: {},
    limits: {},
  })
  const ms = performance.now() - begun
  await runtime.removeSandbox(id)
  await runtime.network.change(new Map([[id, undefined]]))
  // Time for the next network to be made, as between the starts of a machine that is not flooded with them.
  await delay(700)
  return ms
}

const samples: Record<Kind, number[]> = { none: [], isolated: [], open: [] }
try {
  for (let round = -1; round < Number(options.rounds); round++) {
    for (const kind of KINDS) {
      const ms = await start(kind, round + 1)
      // The first of each pays for what is made once.
      if (round >= 0) samples[kind].push(ms)
    }
  }
  const [none, isolated, open] = KINDS.map((kind) => median(samples[kind]))
  const difference = (kind: Kind): number => median(samples[kind].map((ms, index) => ms - (samples.none[index] ?? 0)))
  console.log(
    JSON.stringify({
      bench: 'network-start',
      rounds: samples.none.length,
      noneMs: rounded(none ?? 0),
      isolatedMs: rounded(isolated ?? 0),
      openMs: rounded(open ?? 0),
      isolatedMoreMs: rounded(difference('isolated')),
      openMoreMs: rounded(difference('open')),
    }),
  )
} finally {
  await runtime[Symbol.asyncDispose]()
  rmSync(stateDirectory, { recursive: true, force: true })
}
