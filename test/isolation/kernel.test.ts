/** What a sandbox gets of the machine's kernel: of what is dangerous, nothing. */
import { readFileSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { type Attacker, startAttackers } from './attackers.ts'
import { expectRefused, onMachine, type Place, program } from './controlled.ts'

/** A Pod under runc has the machine's kernel, as in any Kubernetes; what gVisor is for is not expected of it. */
const ATTACKERS = ['a Pod under runsc', 'a sandbox of caisson run'] as const satisfies Attacker[]
const PROBES = [
  ...program('kernel')
    .split('PROBES = {')[1]!
    .matchAll(/^ {4}"([^"]+)":/gm),
].map(([, name]) => name!)

let cluster: Cluster
let inRunsc: Place
let allowed: Record<string, string>
const answers: Partial<Record<Attacker, Record<string, string>>> = {}

beforeAll(async () => {
  cluster = await startCluster()
  const attackers = await startAttackers(cluster)
  inRunsc = attackers['a Pod under runsc']
  allowed = (await onMachine(program('kernel'))) as Record<string, string>
  for (const attacker of ATTACKERS) answers[attacker] = (await attackers[attacker](program('kernel'))) as typeof allowed
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe.each(ATTACKERS)('%s is not given', (attacker) => {
  test.each(PROBES)('%s', (probe) => {
    expectRefused({ probe, control: allowed[probe] === 'given', attack: answers[attacker]?.[probe] === 'given' })
  })
})

/** gVisor's kernel has these itself, and lets root in it change them. */
const OWN = `
import fcntl, json, os, struct
path = "/proc/sys/net/ipv4/ip_forward"
with open(path) as file: before = file.read().strip()
with open(path, "w") as file: file.write("1" if before == "0" else "0")
with open(path) as file: after = file.read().strip()
tunnel = os.open("/dev/net/tun", os.O_RDWR)
try:
    fcntl.ioctl(tunnel, 0x400454ca, struct.pack("16sH22s", b"caissonprobe0", 0x1001, b""))
    made = True
except OSError:
    made = False
print(json.dumps({"changed": before != after, "made": made}))
`

test('what a sandbox changes of its own kernel’s networks does not change the machine’s', async () => {
  const settings = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')
  const before = [settings(), hostname(), Object.keys(networkInterfaces()).includes('caissonprobe0')]
  const own = (await inRunsc(OWN)) as { changed: boolean; made: boolean }
  expectRefused({
    probe: 'a setting of networks',
    control: own.changed,
    attack: settings() !== before[0],
  })
  expect([settings(), hostname(), Object.keys(networkInterfaces()).includes('caissonprobe0')]).toEqual(before)
})
