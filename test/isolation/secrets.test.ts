/** Secrets that the machine, its daemon and other sandboxes keep, looked for from within in every place we know of. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { ATTACKERS, type Attacker, apply, pod, ready, startAttackers } from './attackers.ts'
import { expectRefused, inPod, onMachine, type Place, PYTHON, program } from './controlled.ts'

const PLACES = [
  'files, by any root',
  'working directories',
  'open files',
  'open files taken by pidfd_getfd',
  'environments',
  'arguments',
  'memory, by /proc',
  'memory, by process_vm_readv',
  'memory, by ptrace',
  'abstract Unix sockets',
  '/dev/shm',
  'shared memory by key',
  'TCP ports',
] as const
/**
 * What a neighbour is not even given of itself: the seccomp profile and gVisor refuse it between processes of one sandbox.
 * There the control is the machine's.
 */
const REFUSED_WITHIN: Record<Target, readonly string[]> = {
  'the machine': [],
  'a neighbour under runc': ['open files taken by pidfd_getfd'],
  'a neighbour under runsc': [
    'open files taken by pidfd_getfd',
    'working directories',
    'memory, by /proc',
    'memory, by process_vm_readv',
    'memory, by ptrace',
  ],
}

const TARGETS = ['the machine', 'a neighbour under runc', 'a neighbour under runsc'] as const
type Target = (typeof TARGETS)[number]
type Found = Record<(typeof PLACES)[number], string[]>

/** The line that canary.py prints. */
interface Canary {
  pid: number
  directory: string
  name: string
  secret: string
}

let cluster: Cluster
let work: string
let machine: ChildProcess
const hits: string[] = []
/** Signals that came before the control sent its own. */
let strayHits = 0
const control = {} as Record<Target, Found>
const attack = {} as Record<Target, Record<Attacker, Found>>
const secrets = {} as Record<Target, string>

function names(): { secret: string; name: string } {
  return {
    secret: `planted-${randomBytes(8).toString('hex')}`,
    name: `caisson-probe-${randomBytes(3).toString('hex')}`,
  }
}

const hunt = async (where: Place, canary: Canary, hosts: string[], everywhere: boolean): Promise<Found> => {
  const { secret: _, ...target } = canary
  return (await where(program('hunt'), JSON.stringify({ ...target, hosts, everywhere }))) as Found
}

async function startOnMachine(): Promise<Canary> {
  const { secret, name } = names()
  machine = spawn(PYTHON, ['-c', program('canary'), join(work, 'canary'), name, secret], {
    env: { ...process.env, PLANTED: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: machine.stdout! })
  const [line] = (await once(lines, 'line')) as [string]
  lines.on('line', (said) => hits.push(said))
  return { ...(JSON.parse(line) as Canary), secret }
}

async function startNeighbour(name: string, spec: object): Promise<() => Promise<{ canary: Canary; ip: string }>> {
  const { secret, name: sockets } = names()
  const command = [PYTHON, '-c', program('canary'), '/tmp/canary', sockets, secret]
  await apply(cluster, pod('other', name, { spec, command, env: [{ name: 'PLANTED', value: secret }] }))
  return async () => ({
    canary: { ...(JSON.parse(await cluster.mustKubectl(['-n', 'other', 'logs', name])) as Canary), secret },
    ip: await cluster.mustKubectl(['-n', 'other', 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}']),
  })
}

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'caisson-isolation-'))
  const canary = await startOnMachine()
  // The daemon and all that it starts have it in their environment as well.
  process.env['PLANTED'] = canary.secret
  cluster = await startCluster()
  delete process.env['PLANTED']
  await cluster.mustKubectl(['create', 'namespace', 'other'])
  await apply(cluster, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'closed', namespace: 'other' },
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  })
  const neighbours = {
    'a neighbour under runc': await startNeighbour('under-runc', { runtimeClassName: 'runc' }),
    'a neighbour under runsc': await startNeighbour('under-runsc', {}),
  }
  const attackers = await startAttackers(cluster)
  await ready(cluster, 'other')

  const all = async (target: Target, aim: Canary, hosts: string[]): Promise<void> => {
    secrets[target] = aim.secret
    attack[target] = {} as Record<Attacker, Found>
    for (const attacker of ATTACKERS) attack[target][attacker] = await hunt(attackers[attacker], aim, hosts, true)
  }
  const addresses = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ address }) => !address.startsWith('fe80:'))
    .map(({ address }) => address)
  await all('the machine', canary, addresses)
  for (const target of TARGETS) {
    if (target === 'the machine') continue
    const { canary: aim, ip } = await neighbours[target]()
    await all(target, aim, [ip])
    const place = inPod(cluster, 'other', target.replace('a neighbour ', '').replace(' ', '-'))
    control[target] = await hunt(place, aim, [ip], false)
  }
  strayHits = hits.length
  control['the machine'] = await hunt(onMachine, canary, addresses, false)
})
afterAll(async () => {
  machine.kill('SIGTERM')
  await cluster[Symbol.asyncDispose]()
  rmSync(work, { recursive: true, force: true })
})

describe.each(TARGETS)('the secret of %s', (target) => {
  describe.each(ATTACKERS)('is not found by %s', (attacker) => {
    test.each(PLACES)('in its %s', (place) => {
      const secret = secrets[target]
      const within = REFUSED_WITHIN[target].includes(place) ? 'the machine' : target
      expectRefused({
        probe: place,
        control: control[within][place].includes(secrets[within]),
        // Not the machine's either, whoever is aimed at.
        attack: [secret, secrets['the machine']].some((each) => attack[target][attacker][place].includes(each)),
      })
    })
  })
})

test('no signal of a sandbox reaches a process outside of it', () => {
  expectRefused({ probe: 'kill', control: hits.length > strayHits, attack: strayHits > 0 })
})
