/** Datagrams, and what `--network isolated` closes: each probe beside whoever it is open to. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, startCluster } from '../e2e/fixture.ts'
import { ATTACKERS, type Attacker, apply, pod, ready, startAttackers } from './attackers.ts'
import { expectRefused, inPod, onMachine, type Place, PYTHON } from './controlled.ts'

/** Prints its port, then what each datagram says; answers them, and each connection, with a word. */
const SERVER = `
import socket, sys, threading
def carry(udp):
    while True:
        said, sender = udp.recvfrom(2000)
        print(said.decode(errors="replace"), flush=True)
        udp.sendto(b"heard", sender)
tcp = socket.create_server(("0.0.0.0", int(sys.argv[1])))
port = tcp.getsockname()[1]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", port))
threading.Thread(target=carry, args=(udp,), daemon=True).start()
print(port, flush=True)
while True:
    connection, _ = tcp.accept()
    connection.sendall(b"heard")
    connection.close()
`
/** Sends a word to each of many addresses, and prints who answered. */
const SEND = `
import json, socket, sys
word, port, hosts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
heard = []
for host in hosts:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.settimeout(1)
    try:
        for _ in range(2): udp.sendto(f"{word} {host}".encode(), (host, port))
        udp.recvfrom(2000)
        heard.append(host)
    except OSError: pass
print(json.dumps(heard))
`
const DIAL = `
import json, socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print(json.dumps(True))
except OSError:
    print(json.dumps(False))
`
const PORT = 7070
const BROADCAST = '255.255.255.255'

let cluster: Cluster
let machine: ChildProcess
/** What the machine's own service was told. */
const said: string[] = []
let machinePort: number
let attackers: Record<Attacker, Place>

beforeAll(async () => {
  machine = spawn(PYTHON, ['-c', SERVER, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: machine.stdout! })
  machinePort = Number((await once(lines, 'line'))[0])
  lines.on('line', (line) => said.push(line))
  cluster = await startCluster()
  await cluster.mustKubectl(['create', 'namespace', 'other'])
  const serve = [PYTHON, '-c', SERVER, String(PORT)]
  await apply(
    cluster,
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'own', namespace: 'other' },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }] }] },
    },
    pod('other', 'server', { command: serve }),
    pod('other', 'peer'),
    pod('default', 'server', { command: serve }),
    pod('default', 'peer'),
  )
  for (const network of ['isolated', 'open']) {
    const run = ['run', '--detach', '--network', network, '--name']
    await cluster.mustCaisson([...run, network, '--', 'sleep', '1000'])
    await cluster.mustCaisson([...run, `${network}-server`, '--', ...serve])
  }
  attackers = await startAttackers(cluster)
  await ready(cluster, 'other')
  await ready(cluster, 'default')
})
afterAll(async () => {
  machine.kill()
  await cluster[Symbol.asyncDispose]()
})

const ipOf = (name: string, namespace = 'default'): Promise<string> =>
  cluster.mustKubectl(['-n', namespace, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])
const inDefault = (name: string): Place => inPod(cluster, 'default', name)

describe.each(ATTACKERS)('a datagram of %s', (attacker) => {
  test('reaches no service of this machine, at any of its addresses', async () => {
    const addresses = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .filter(({ family }) => family === 'IPv4')
      .map(({ address }) => address)
    const hosts = [...new Set([...addresses, BROADCAST])]
    const words = { control: `control-${ATTACKERS.indexOf(attacker)}`, attack: `attack-${ATTACKERS.indexOf(attacker)}` }
    // Its own loopback is nobody's but the sandbox's.
    const heard = (await attackers[attacker](SEND, words.attack, String(machinePort), ...hosts)) as string[]
    await onMachine(SEND, words.control, String(machinePort), ...hosts)
    await expect.poll(() => said.filter((line) => line === `${words.control} 127.0.0.1`)).not.toEqual([])
    for (const host of hosts) {
      expectRefused({
        probe: `a datagram to ${host}`,
        control: said.includes(`${words.control} ${host}`),
        attack: heard.includes(host) || said.includes(`${words.attack} ${host}`),
      })
    }
  })

  test('reaches no sandbox that a NetworkPolicy closes', async () => {
    const ip = await ipOf('server', 'other')
    const heard = (await attackers[attacker](SEND, 'attack', String(PORT), ip)) as string[]
    const control = (await inPod(cluster, 'other', 'peer')(SEND, 'control', String(PORT), ip)) as string[]
    const log = await cluster.mustKubectl(['-n', 'other', 'logs', 'server'])
    expectRefused({
      probe: 'a datagram to another sandbox',
      control: control.includes(ip) && log.includes(`control ${ip}`),
      attack: heard.includes(ip) || log.includes(`attack ${ip}`),
    })
  })
})

describe('with --network isolated a sandbox', () => {
  const dial = (name: string, host: string, port: number): Promise<unknown> => inDefault(name)(DIAL, host, String(port))
  const send = async (name: string, host: string): Promise<boolean> =>
    ((await inDefault(name)(SEND, name, String(PORT), host)) as string[]).includes(host)

  test.each<[string, (from: string) => Promise<unknown>]>([
    ['to a Pod', async (from) => dial(from, await ipOf('server'), PORT)],
    ['by a datagram to a Pod', async (from) => send(from, await ipOf('server'))],
    ['to another sandbox', async (from) => dial(from, await ipOf('open-server'), PORT)],
    [
      'to the API server',
      async (from) => {
        const path = 'jsonpath={.spec.clusterIP}'
        return dial(from, await cluster.mustKubectl(['get', 'service', 'kubernetes', '-o', path]), 443)
      },
    ],
  ])('does not get through %s', async (probe, get) => {
    expectRefused({ probe, control: (await get('open')) === true, attack: (await get('isolated')) === true })
  })

  test.each<[string, (to: string) => Promise<unknown>]>([
    ['by a connection', async (to) => dial('peer', await ipOf(to), PORT)],
    ['by a datagram', async (to) => send('peer', await ipOf(to))],
    ['by another sandbox', async (to) => dial('open', await ipOf(to), PORT)],
  ])('is not reached %s', async (probe, get) => {
    expectRefused({
      probe,
      control: (await get('open-server')) === true,
      attack: (await get('isolated-server')) === true,
    })
  })
})
