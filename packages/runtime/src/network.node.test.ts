import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { cgroupName } from './cgroups/sandbox-cgroups.ts'
import { findStrayCgroups, removeStrayCgroup } from './cgroups/stray-groups.ts'
import { createRuntime } from './create-runtime.ts'
import { findStrayNetworks, removeStrayNetwork } from './network/network-register.ts'
import type { NetworkSpec, RuntimeHandler } from './runtime.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  openNetwork,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
beforeAll(async () => {
  scratch = await createScratchRuntime({ tools: ['runsc', 'runc', 'nft'] })
})
afterAll(() => scratch[Symbol.asyncDispose]())

/** Says what it is asked to, once, to whoever connects. */
const serve = (address: string, port: number, answer: string): string => `
import socket
s = socket.create_server(("${address}", ${port}))
print("ready", flush=True)
while True:
    c, a = s.accept()
    c.sendall(("${answer} " + a[0]).encode())
    c.close()
`

const dial = (address: string, port: number): string[] => [
  '/usr/bin/python3',
  '-c',
  `
import socket
try:
    print(socket.create_connection(("${address}", ${port}), 3).recv(100).decode())
except Exception as e:
    print(type(e).__name__, e)
`,
]

async function startServer(
  id: string,
  options: {
    handler?: RuntimeHandler
    network: NetworkSpec
    address: string
    shared?: boolean
    on?: ScratchRuntime
  },
): Promise<string | undefined> {
  const { handler = 'runsc', network, address, shared = false, on = scratch } = options
  await on.runtime.createSandbox(sandboxSpec(id, { handler, network, shared }))
  const ip = network.kind === 'pod' ? await openNetwork(on.runtime, id) : undefined
  await on.runtime.startContainer(containerSpec(on, `${id}-1`, { sandboxId: id }))
  const server = await on.runtime.exec(`${id}-1`, {
    args: ['/usr/bin/python3', '-c', serve(address, 8080, id)],
    env: {},
    tty: false,
    stdin: false,
  })
  server.stderr?.resume()
  for await (const chunk of server.stdout) if (String(chunk).includes('ready')) break
  return ip
}

async function read(id: string, port: number): Promise<string> {
  const connection = await scratch.runtime.connect(id, port)
  return text(connection)
}

describe('connect', () => {
  test.each<[string, RuntimeHandler, NetworkSpec, boolean]>([
    ['a sentry without a network', 'runsc', { kind: 'none' }, false],
    ['a shared sentry without a network', 'runsc', { kind: 'none' }, true],
    ['a sentry with an address', 'runsc', { kind: 'pod' }, false],
    ['a runc container without a network', 'runc', { kind: 'none' }, false],
    ['runc containers that share one', 'runc', { kind: 'pod' }, true],
  ])('reaches a loopback-only listener in %s', async (_name, handler, network, shared) => {
    const id = `lo-${handler}-${network.kind}-${shared}`
    await startServer(id, { handler, network, address: '127.0.0.1', shared })
    expect(await read(id, 8080)).toBe(`${id} 127.0.0.1`)
    await scratch.runtime.removeSandbox(id)
  })

  test('opens so many connections to a loopback at a time, and no more', async () => {
    await scratch.runtime.createSandbox(sandboxSpec('many', { handler: 'runc', network: { kind: 'none' } }))
    await scratch.runtime.startContainer(containerSpec(scratch, 'many-1', { sandboxId: 'many' }))
    const holding = `
import socket
s = socket.create_server(("127.0.0.1", 8080), backlog=100)
held = []
print("ready", flush=True)
while True:
    held.append(s.accept())
`
    const args = ['/usr/bin/python3', '-c', holding]
    const server = await scratch.runtime.exec('many-1', { args, env: {}, tty: false, stdin: false })
    server.stderr?.resume()
    for await (const chunk of server.stdout) if (String(chunk).includes('ready')) break
    const first = await scratch.runtime.connect('many', 8080)
    const others = await Promise.all(Array.from({ length: 63 }, () => scratch.runtime.connect('many', 8080)))
    await expect(scratch.runtime.connect('many', 8080)).rejects.toThrow(
      '64 connections to the loopback of this sandbox are open',
    )
    await once(first.destroy(), 'close')
    for (const connection of [...others, await scratch.runtime.connect('many', 8080)]) connection.destroy()
    await scratch.runtime.removeSandbox('many')
  })

  test('waits for what connects to a loopback where its end is heard of before', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'caisson-late-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    mkdirSync(join(directory, 'bin'))
    const runsc = join(scratch.toolsDirectory, 'bin/runsc')
    // Of runsc's own process: it goes on once whoever started the one before it has seen that end.
    const late = `(while kill -0 $$; do :; done; exec ${runsc} "$@") >/dev/null 2>&1 & exit 0`
    const script = `#!/bin/sh\ncase "$*" in *port-forward*' 9') ;; *port-forward*) ${late};; *) exec ${runsc} "$@";; esac\n`
    writeFileSync(join(directory, 'bin/runsc'), script, { mode: 0o755 })
    await using on = await createScratchRuntime({ toolsDirectory: directory })
    await startServer('late', { network: { kind: 'none' }, address: '127.0.0.1', on })
    expect(await text(await on.runtime.connect('late', 8080))).toBe('late 127.0.0.1')
    // Nothing of it goes on to connect here, and whoever asked gives up.
    await expect(on.runtime.connect('late', 9, AbortSignal.timeout(300))).rejects.toMatchObject({
      name: 'TimeoutError',
    })
  })

  test('says where nobody listens', async () => {
    await startServer('nobody', { network: { kind: 'none' }, address: '127.0.0.1' })
    await expect(read('nobody', 9)).rejects.toMatchObject({ code: 'network' })
    await scratch.runtime.removeSandbox('nobody')
  })
})

test('sandboxes reach each other and nobody else speaks for them', async () => {
  const one = await startServer('one', { network: { kind: 'pod' }, address: '0.0.0.0' })
  const two = await startServer('two', { network: { kind: 'pod' }, address: '0.0.0.0', handler: 'runc' })
  const say = async (id: string, address: string | undefined): Promise<string> =>
    (await execText(scratch.runtime, `${id}-1`, dial(address ?? '', 8080))).stdout.trim()
  expect(await say('one', two)).toBe(`two ${one}`)
  expect(await say('two', one)).toBe(`one ${two}`)
  expect(await read('one', 8080)).toMatch(/^one 10\.\d+\.0\.1$/)
  // An address that is not its own does not get out of it: the kernel drops it at its interface.
  const forged = containerSpec(scratch, 'two-2', {
    sandboxId: 'two',
    privileged: true,
    capabilities: ['CAP_NET_ADMIN'],
  })
  await scratch.runtime.startContainer(forged)
  const steal = `ip addr add 10.255.255.1/32 dev eth0 && ip route change default via ${one?.replace(/\d+$/, '1')} dev eth0 src 10.255.255.1 || ip route; exec "$@"`
  const { stdout } = await execText(scratch.runtime, 'two-2', ['/bin/sh', '-c', steal, 'sh', ...dial(one ?? '', 8080)])
  expect(stdout.trim()).toMatch(/timed out|unreachable/)
  await scratch.runtime.removeSandbox('one')
  await scratch.runtime.removeSandbox('two')
})

/** A short connection from an address of this machine, to its end. */
async function askFrom(localAddress: string | undefined, host: string): Promise<string> {
  const socket = connect({ host, port: 8080, ...(localAddress !== undefined && { localAddress }) })
  return await text(socket)
}

test('what is sent to sandboxes and by them is counted, but for what the node itself asks them', async () => {
  const ip = (await startServer('asked', { network: { kind: 'pod' }, address: '0.0.0.0' })) ?? ''
  const { prober } = await scratch.runtime.network.open()
  const packets = async (): Promise<number> => (await scratch.runtime.traffic()).get('asked') ?? -1
  const before = await packets()
  for (let times = 0; times < 20; times++) expect(await askFrom(prober, ip)).toBe(`asked ${prober}`)
  expect(await packets()).toBe(before)
  expect(await askFrom(undefined, ip)).toMatch(/^asked 10\.\d+\.0\.1$/)
  // Three to begin with, one answer, one end at least.
  expect(await packets()).toBeGreaterThanOrEqual(before + 5)
  await scratch.runtime.removeSandbox('asked')
  expect(await scratch.runtime.traffic()).toEqual(new Map())
})

test('a sandbox reaches neither the loopback of the machine nor what a cloud serves to it', async () => {
  const server = createServer((socket) => void socket.end('secret'))
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await scratch.runtime.createSandbox(sandboxSpec('closed', { network: { kind: 'pod' } }))
  await scratch.runtime.startContainer(containerSpec(scratch, 'closed-1', { sandboxId: 'closed' }))
  const reach = async (host: string): Promise<string> =>
    (await execText(scratch.runtime, 'closed-1', dial(host, port))).stdout.trim()
  const gateway = (await scratch.runtime.get('closed'))?.ip?.replace(/\d+$/, '1') ?? ''
  expect(await reach('127.0.0.1')).toMatch(/^ConnectionRefusedError/)
  expect(await reach(gateway)).toMatch(/^ConnectionRefusedError/)
  expect(await reach('169.254.169.254')).toMatch(/^(OSError|TimeoutError|ConnectionRefusedError)/)
  server.close()
  await scratch.runtime.removeSandbox('closed')
})

test('the next container of a sandbox has its address again', async () => {
  const { ip } = await scratch.runtime.createSandbox(sandboxSpec('again', { network: { kind: 'pod' } }))
  const show = [
    '/usr/bin/python3',
    '-c',
    'import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("10.9.9.9", 9)); print(s.getsockname()[0])',
  ]
  for (const id of ['again-1', 'again-2']) {
    await scratch.runtime.startContainer(containerSpec(scratch, id, { sandboxId: 'again', args: show }))
    await scratch.exitOf(id)
    expect(readFileSync(`${scratch.stateDirectory}/${id}.log`, 'utf8')).toContain(`stdout F ${ip}\n`)
  }
  await scratch.runtime.removeSandbox('again')
})

test('what a state directory that was deleted has left is found and removed', async () => {
  const other = await createScratchRuntime()
  const tag = createHash('sha256').update(other.stateDirectory).digest('hex').slice(0, 6)
  const { ip } = await other.runtime.createSandbox(sandboxSpec('lost', { network: { kind: 'pod' } }))
  const range = `${ip?.split('.').slice(0, 2).join('.')}.`
  const own = async () => (await findStrayNetworks()).filter((stray) => stray.tag === tag)
  expect(await own()).toEqual([])
  // Its daemon ends and leaves the sandbox alone, as it should; then somebody deletes the directory.
  await other.runtime[Symbol.asyncDispose]()
  rmSync(other.stateDirectory, { recursive: true })
  const [stray] = await own()
  expect(stray).toMatchObject({ stateDirectory: other.stateDirectory, namespaces: [expect.stringContaining(tag)] })
  if (stray) await removeStrayNetwork(stray, other.toolsDirectory)
  for (const path of await findStrayCgroups(undefined, Date.now() + 3_600_000))
    if (basename(path) === cgroupName(other.stateDirectory)) await removeStrayCgroup(path)
  expect([await own(), machineNetwork(tag, range)]).toEqual([[], NOTHING])
})

test('nothing of a network stays on the machine', async () => {
  let tag = ''
  let range = ''
  {
    // Others of the same machine come and go meanwhile: only what is this runtime's own counts.
    await using other = await createScratchRuntime({ podNetwork: () => '10.198.0.0/16' })
    tag = createHash('sha256').update(other.stateDirectory).digest('hex').slice(0, 6)
    const { ip } = await other.runtime.createSandbox(sandboxSpec('gone', { network: { kind: 'pod' } }))
    range = `${ip?.split('.').slice(0, 2).join('.')}.`
    expect(machineNetwork(tag, range)).not.toEqual(NOTHING)
  }
  expect(machineNetwork(tag, range)).toEqual(NOTHING)
})

const NOTHING = { namespaces: [], links: [], routes: [], rules: [] }

test('a sandbox that a crash of the machine has left without its network goes: it would begin in the machine’s own, under an address that another may be given', async () => {
  await using before = await createScratchRuntime({ tools: ['runsc', 'nft'] })
  const { stateDirectory, toolsDirectory, runtime } = before
  for (const id of ['kept', 'lost']) await runtime.createSandbox(sandboxSpec(id, { network: { kind: 'pod' } }))
  const ips = (await runtime.list()).map(({ ip }) => ip)
  await runtime[Symbol.asyncDispose]()
  const addresses = join(stateDirectory, 'network/addresses')
  for (const name of readdirSync(addresses))
    if (readFileSync(join(addresses, name), 'utf8') === 'lost') writeFileSync(join(addresses, name), '')
  await using next = await createRuntime({ stateDirectory, toolsDirectory })
  const found = await next.recover()
  expect(new Map(found.map(({ spec, ip }) => [spec.id, ip]))).toEqual(new Map([['kept', ips[0]]]))
  expect(await next.get('lost')).toBeUndefined()
  await next.removeSandbox('kept')
})

function machineNetwork(tag: string, range: string): unknown {
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : []
  const lines = (...args: string[]): string[] =>
    execFileSync('ip', ['-4', ...args], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(` ${range}`) || line.startsWith(range))
  return {
    namespaces: namespaces.filter((name) => name.includes(tag)),
    links: readdirSync('/sys/class/net').filter((name) => name.includes(tag)),
    routes: lines('route'),
    rules: lines('rule'),
  }
}
