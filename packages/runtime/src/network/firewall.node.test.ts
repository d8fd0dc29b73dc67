/** What the kernel lets through, with real packets: each refusal stands beside the same connection where it is allowed. */

import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  openNetwork,
  type ScratchRuntime,
  sandboxSpec,
} from '../testing/scratch-runtime.ts'
import { defaultToolsDirectory, findTool, toolEnvironment } from '../tools/tools.ts'

const PORT = 8080
/** A machine elsewhere, in a network namespace: an ordinary address, and one of those where clouds serve credentials. */
const OUTSIDE = { namespace: 'caisson-test-outside', link: 'cstout0', near: '198.51.100.1', far: '198.51.100.2' }
const METADATA = ['169.254.169.254', '100.100.100.200', '192.0.0.192', '168.63.129.16']

let scratch: ScratchRuntime
let service: Server
let gateway = ''

beforeAll(async () => {
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'nft'] })
  gateway = (await scratch.runtime.network.open()).gateway
  const { namespace, link, near, far } = OUTSIDE
  ip(`netns add ${namespace}`, `link add ${link} type veth peer name eth0 netns ${namespace}`)
  ip(`addr add ${near}/24 dev ${link}`, `link set ${link} up`)
  // As an interface of a default route has it.
  writeFileSync(`/proc/sys/net/ipv4/conf/${link}/forwarding`, '1')
  const inside = [far, ...METADATA].map((address) => `-n ${namespace} addr add ${address}/32 dev eth0`)
  ip(...inside, `-n ${namespace} link set eth0 up`, `-n ${namespace} link set lo up`)
  ip(`-n ${namespace} route add ${near} dev eth0`, `-n ${namespace} route add default via ${near}`)
  for (const address of [far, ...METADATA]) ip(`route add ${address}/32 dev ${link}`)
  service = createServer((socket) => socket.end('machine'))
  await new Promise<void>((resolve) => service.listen(0, '0.0.0.0', resolve))
})
afterAll(async () => {
  service.close()
  ip(`link del ${OUTSIDE.link}`, `netns del ${OUTSIDE.namespace}`)
  await scratch[Symbol.asyncDispose]()
})

function ip(...lines: string[]): void {
  for (const line of lines) execFileSync('ip', line.split(' '))
}

const SERVE = `
import socket, sys
s = socket.create_server(("0.0.0.0", ${PORT}))
print("ready", flush=True)
while True:
    c, a = s.accept()
    c.sendall((sys.argv[1] + " " + a[0]).encode())
    c.close()
`
const DIAL = `
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).recv(100).decode())
except Exception as e:
    print("refused" if isinstance(e, ConnectionRefusedError) else type(e).__name__)
`

const ECHO = `
import socket
s = socket.create_server(("0.0.0.0", ${PORT + 1}))
print("ready", flush=True)
c, a = s.accept()
while True:
    d = c.recv(100)
    if not d: break
    c.sendall(d)
`
/** Says when ten messages came back, and how it ends. */
const TALK = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], ${PORT + 1}), 5)
count = 0
try:
    while True:
        s.sendall(b"x")
        s.recv(1)
        count += 1
        if count == 10: print("open", flush=True)
        time.sleep(0.02)
except Exception as e:
    print(type(e).__name__, flush=True)
`

/** Begins as many flows, by a datagram each, and says so. */
const FLOWS = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(int(sys.argv[2])):
    try: s.sendto(b"x", (sys.argv[1], 10000 + port))
    except OSError: pass
print("sent")
`

/** What the kernel says of who began how many. */
async function counted(): Promise<string> {
  const nft = await findTool('nft', defaultToolsDirectory())
  if (!nft) throw new Error('there is no nft')
  return execFileSync(nft.path, ['list', 'ruleset'], { encoding: 'utf8', env: toolEnvironment(nft) })
}

async function startSandbox(id: string): Promise<string> {
  const { ip: address = '' } = await scratch.runtime.createSandbox(sandboxSpec(id, { network: { kind: 'pod' } }))
  // Its own process, which a restart of the daemon leaves alone; whoever attaches first reads it from the beginning.
  const args = ['/usr/bin/python3', '-c', SERVE, id]
  const stdin = { stdin: true, stdinOnce: true }
  await scratch.runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id, args, ...stdin }))
  await using server = await scratch.runtime.attach(`${id}-1`)
  await once(server.stdout, 'data')
  return address
}

const dialFrom = async (id: string, address: string, port = PORT): Promise<string> =>
  (await execText(scratch.runtime, `${id}-1`, ['/usr/bin/python3', '-c', DIAL, address, String(port)])).stdout.trim()

const python = async (uid: number, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(args[0] ?? '', args.slice(1), { uid, gid: uid, encoding: 'utf8' })).stdout.trim()

/** From this machine, as one of its users. */
const dialAs = (uid: number, address: string, port = PORT): Promise<string> =>
  python(uid, '/usr/bin/python3', '-c', DIAL, address, String(port))

const dialOutside = (address: string, port = PORT): Promise<string> =>
  python(0, 'ip', 'netns', 'exec', OUTSIDE.namespace, '/usr/bin/python3', '-c', DIAL, address, String(port))

/** A server in the namespace outside, for as long as the callback takes. */
async function servingOutside<T>(address: string, use: () => Promise<T>): Promise<T> {
  const script = SERVE.replace('0.0.0.0', address)
  const child = spawn('ip', ['netns', 'exec', OUTSIDE.namespace, '/usr/bin/python3', '-c', script, 'outside'])
  const exited = new Promise((resolve) => child.once('close', resolve))
  child.stdout.setEncoding('utf8')
  await once(child.stdout, 'data')
  try {
    return await use()
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

describe('a sandbox', () => {
  test('reaches nobody and is reached by nobody until rules say so', async () => {
    const one = await startSandbox('one')
    const two = await startSandbox('two')
    expect(await dialFrom('one', two)).toBe('refused')
    await openNetwork(scratch.runtime, 'one')
    expect(await dialFrom('one', two)).toBe('refused')
    await openNetwork(scratch.runtime, 'two')
    expect(await dialFrom('one', two)).toBe(`two ${one}`)
    await scratch.runtime.network.change(new Map([['one', undefined]]))
    expect(await dialFrom('one', two)).toBe('refused')
    expect(await dialFrom('two', one)).toBe('refused')
    await openNetwork(scratch.runtime, 'one')
  })

  test.each([
    ['the egress of who began it', 'one'],
    ['the ingress of the other', 'two'],
  ])('has an open connection end when rules close %s', async (_name, closed) => {
    const { runtime } = scratch
    const two = (await runtime.get('two'))?.ip ?? ''
    const run = async (id: string, script: string) => {
      const args = ['/usr/bin/python3', '-c', script, two]
      const streams = await runtime.exec(`${id}-1`, { args, env: {}, tty: false, stdin: false })
      return { streams, output: streams.stdout[Symbol.asyncIterator]() }
    }
    const echo = await run('two', ECHO)
    await echo.output.next()
    const client = await run('one', TALK)
    expect(String((await client.output.next()).value)).toBe('open\n')
    await runtime.network.change(new Map([[closed, undefined]]))
    expect(String((await client.output.next()).value)).toBe('ConnectionResetError\n')
    await openNetwork(runtime, closed)
    await echo.streams[Symbol.asyncDispose]()
  })

  test('reaches no service of this machine, whatever address it listens on', async () => {
    const { port } = service.address() as { port: number }
    const addresses = Object.entries(networkInterfaces())
      // Those of other tests' networks go with them.
      .flatMap(([name, found = []]) => (/^cs[0-9a-f]{6}/.test(name) ? [] : found))
      .flatMap((each) => (each.family === 'IPv4' && !each.internal ? [each.address] : []))
    expect(addresses).toContain(OUTSIDE.near)
    for (const address of new Set([...addresses, gateway])) {
      expect([address, await dialAs(0, address, port)]).toEqual([address, 'machine'])
      expect([address, await dialFrom('one', address, port)]).toEqual([address, 'refused'])
    }
  })

  test('reaches the gateway’s ports that are served, and others only where its egress allows it', async () => {
    const { port } = service.address() as { port: number }
    const reached = async (set: string): Promise<string[]> => {
      await scratch.runtime.network.change(
        new Map([
          ['ports', { elements: [{ set, key: `tcp . ${port}` }] }],
          ['one', undefined],
        ]),
      )
      const closed = await dialFrom('one', gateway, port)
      await openNetwork(scratch.runtime, 'one')
      return [closed, await dialFrom('one', gateway, port)]
    }
    expect(await reached('served')).toEqual(['machine', 'machine'])
    expect(await reached('doors')).toEqual(['refused', 'machine'])
    await scratch.runtime.network.change(new Map([['ports', undefined]]))
    expect(await dialFrom('one', gateway, port)).toBe('refused')
  })

  test('reaches the world, but not what clouds serve to their machines unless a rule of its own says so', async () => {
    expect(await servingOutside(OUTSIDE.far, () => dialFrom('one', OUTSIDE.far))).toMatch(/^outside/)
    for (const address of METADATA) {
      await servingOutside(address, async () => {
        expect([address, await dialAs(0, address)]).toEqual([address, `outside ${OUTSIDE.near}`])
        expect([address, await dialFrom('one', address)]).toEqual([address, 'refused'])
        const elements = [{ set: 'egress', key: (await scratch.runtime.get('one'))?.ip ?? '', value: 'goto own' }]
        const chains = [{ name: 'own', rules: [`ip daddr ${address} accept`, 'goto refuse'] }]
        await scratch.runtime.network.change(new Map([['one', { chains, elements }]]))
        expect([address, await dialFrom('one', address)]).toEqual([address, `outside ${OUTSIDE.near}`])
        await openNetwork(scratch.runtime, 'one')
      })
    }
  })

  test('has no more connections open than 2,048 that it began, and takes none from others', async () => {
    const three = await startSandbox('three')
    await openNetwork(scratch.runtime, 'three')
    const send = async (count: number): Promise<string> =>
      (await execText(scratch.runtime, 'three-1', ['/usr/bin/python3', '-c', FLOWS, OUTSIDE.far, String(count)])).stdout
    await servingOutside(OUTSIDE.far, async () => {
      expect(await send(2_000)).toBe('sent\n')
      expect(await dialFrom('three', OUTSIDE.far)).toMatch(/^outside/)
      expect(await send(2_100)).toBe('sent\n')
      expect(await dialFrom('three', OUTSIDE.far)).toBe('refused')
      expect(await dialFrom('one', OUTSIDE.far)).toMatch(/^outside/)
    })
    expect(await counted()).toContain(`${three} ct count over 2048`)
    await scratch.runtime.network.change(new Map([['three', undefined]]))
    await scratch.runtime.removeSandbox('three')
    expect(await counted()).not.toContain(`${three} ct count`)
  })

  test('leaves none open in the table of connections when it goes', async () => {
    const four = await startSandbox('four')
    await openNetwork(scratch.runtime, 'four')
    const others = (await scratch.runtime.get('one'))?.ip ?? ''
    const followed = (address: string): number => {
      const lines = readFileSync('/proc/net/nf_conntrack', 'utf8').split('\n')
      return lines.filter((line) => line.includes(` src=${address} dst=${OUTSIDE.far} `)).length
    }
    const send = (id: string, count: number) =>
      execText(scratch.runtime, `${id}-1`, ['/usr/bin/python3', '-c', FLOWS, OUTSIDE.far, String(count)])
    await send('one', 10)
    // More than the kernel lists at a time; not all that is sent leaves a sandbox.
    while (followed(four) <= 1_000) await send('four', 2_000)
    await scratch.runtime.network.change(new Map([['four', undefined]]))
    await scratch.runtime.removeSandbox('four')
    await expect.poll(() => followed(four)).toBe(0)
    expect(followed(others)).toBeGreaterThan(0)
  })

  test('is reached by the administrator of this machine, by no other user and from no other machine', async () => {
    const two = (await scratch.runtime.get('two'))?.ip ?? ''
    expect(await dialAs(0, two)).toBe(`two ${gateway}`)
    expect(await dialAs(65_534, two)).toBe('refused')
    const { port } = service.address() as { port: number }
    expect(await dialOutside(OUTSIDE.near, port)).toBe('machine')
    expect(await dialOutside(gateway, port)).toBe('TimeoutError')
    expect(await dialOutside(two)).toMatch(/TimeoutError|OSError/)
    // Nor does another user reach what is served to sandboxes.
    expect([await dialAs(0, gateway, port), await dialAs(65_534, gateway, port)]).toEqual(['machine', 'refused'])
  })

  test('goes on as it was while no daemon runs, and when the next one has made its first change', async () => {
    const [one, two] = [(await scratch.runtime.get('one'))?.ip ?? '', (await scratch.runtime.get('two'))?.ip ?? '']
    const { stateDirectory } = scratch
    await scratch.runtime[Symbol.asyncDispose]()
    expect(await dialAs(65_534, two)).toBe('refused')
    scratch = await createScratchRuntime({ stateDirectory })
    expect(await dialFrom('one', two)).toBe(`two ${one}`)
    const elements = [{ set: 'egress', key: two, value: 'goto open' }]
    await scratch.runtime.network.change(new Map([['two', { elements }]]))
    expect([await dialFrom('one', two), await dialFrom('two', one)]).toEqual(['refused', 'refused'])
    await openNetwork(scratch.runtime, 'one')
    expect(await dialFrom('two', one)).toBe(`one ${two}`)
  })
})
