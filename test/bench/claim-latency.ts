/**
 * From the request of a claim on a warm pool until a watch shows it Ready, and until the first byte of a command that is
 * executed in what it got then, under gVisor: five claims one after the other, once the pool is full.
 *
 *   node test/bench/claim-latency.ts [--rounds 8]
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCondition, type SandboxClaim } from '../../packages/api/src/index.ts'
import {
  createClient,
  createHttpTransport,
  createInformer,
  execInPod,
  findConnection,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '8' } } })
const POOL = 5
const COMMAND = ['/bin/echo', 'x']
/** So that what a refill leaves to be done is not in the next round's time. */
const SETTLES_MS = 1_500

await using cluster = await startBenchCluster()
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const namespace = 'default'
await using claims = createInformer(client, sandboxClaims, { namespace })
await using pools = createInformer(client, sandboxWarmPools, { namespace })
await Promise.all([claims.synced(), pools.synced()])

async function poolIsFull(): Promise<void> {
  const full = Promise.withResolvers<void>()
  const look = (): void => {
    if (pools.get(`${namespace}/bench`)?.status?.readyReplicas === POOL) full.resolve()
  }
  using _handler = pools.handle({ added: look, updated: look })
  look()
  await full.promise
  await delay(SETTLES_MS)
}

/** Resolves with the claim as it is when it is Ready. */
async function whenReady(name: string): Promise<SandboxClaim> {
  const ready = Promise.withResolvers<SandboxClaim>()
  const look = (claim: SandboxClaim): void => {
    if (claim.metadata.name === name && findCondition(claim.status?.conditions, 'Ready')?.status === 'True')
      ready.resolve(claim)
  }
  using _handler = claims.handle({ added: look, updated: (_old, claim) => look(claim) })
  return await ready.promise
}

async function firstByte(pod: string): Promise<void> {
  await using command = await execInPod(client, pod, { namespace, command: COMMAND, stderr: false })
  if (!command.stdout) throw new Error('there is no output')
  await once(command.stdout, 'readable')
  command.stdout.resume()
  const { exitCode } = await command.exit
  if (exitCode !== 0) throw new Error(`the command exited with ${exitCode}`)
}

const samples = { ready: [] as number[], 'first byte': [] as number[] }

async function claimOne(name: string, counts: boolean): Promise<void> {
  await transport.connectAhead?.({ webSocket: true })
  const begun = performance.now()
  const ready = whenReady(name)
  await client.create(sandboxClaims, { metadata: { name }, spec: { warmPoolRef: { name: 'bench' } } }, { namespace })
  const { status } = await ready
  const readyMs = performance.now() - begun
  await firstByte(status?.sandbox?.name ?? '')
  if (!counts) return
  samples.ready.push(readyMs)
  samples['first byte'].push(performance.now() - begun)
}

const container = { name: 'main', image: 'caisson.dev/host', command: ['/bin/sleep', '3600'] }
const podTemplate = { spec: { terminationGracePeriodSeconds: 0, containers: [container] } }
await client.create(sandboxTemplates, { metadata: { name: 'bench' }, spec: { podTemplate } }, { namespace })
const spec = { replicas: POOL, sandboxTemplateRef: { name: 'bench' } }
await client.create(sandboxWarmPools, { metadata: { name: 'bench' }, spec }, { namespace })
for (let round = -1; round < Number(options.rounds); round++) {
  await poolIsFull()
  const names = Array.from({ length: POOL }, (_, index) => `claim-${round + 1}-${index}`)
  for (const name of names) await claimOne(name, round >= 0)
  for (const name of names) await client.delete(sandboxClaims, name, { namespace })
}
for (const [what, sample] of Object.entries(samples)) {
  const [least, p50, p90] = [Math.min(...sample), median(sample), percentile(sample, 90)].map(rounded)
  console.log(
    JSON.stringify({ bench: 'claim-latency', what, least_ms: least, p50_ms: p50, p90_ms: p90, n: sample.length }),
  )
}
