import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Container, ContainerSpec, Runtime, Sandbox, SandboxSpec } from './runtime.ts'
import type { RuntimeError } from './runtime-error.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

/** Counts up in memory and tells how far it is, and what the machine around it is called, over HTTP. */
const COUNTER = `
import http.server, json, os, signal, socket, sys
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        global count
        count += 1
        os.write(1, b'asked %d\\n' % count)
        body = json.dumps({'count': count, 'hostname': socket.gethostname(), 'pid': os.getpid(),
            'kept': open('/tmp/kept').read(), 'random': os.urandom(8).hex()}).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
open('/tmp/kept', 'w').write('on the root file system')
server = http.server.ThreadingHTTPServer(('0.0.0.0', 8080), Handler)
os.write(1, b'listening\\n')
server.serve_forever()
`

interface Answer {
  count: number
  hostname: string
  pid: number
  kept: string
  random: string
}

interface Counter {
  sandbox: Sandbox
  container: Container
}

async function scratchRuntime(): Promise<ScratchRuntime> {
  const scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch
}

function counterSpec(scratch: ScratchRuntime, id: string, changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return containerSpec(scratch, `${id}-c`, { sandboxId: id, args: ['python3', '-u', '-c', COUNTER], ...changes })
}

async function startCounter(
  scratch: ScratchRuntime,
  id: string,
  changes: { sandbox?: Partial<SandboxSpec>; container?: Partial<ContainerSpec> } = {},
): Promise<Counter> {
  const sandbox = await scratch.runtime.createSandbox(
    sandboxSpec(id, { hostname: id, network: { kind: 'pod' }, ...changes.sandbox }),
  )
  const container = await scratch.runtime.startContainer(counterSpec(scratch, id, changes.container))
  await logged(container.spec.logPath, 'listening')
  return { sandbox, container }
}

async function restoreCounter(scratch: ScratchRuntime, id: string, directory: string): Promise<Counter> {
  const sandbox = await scratch.runtime.createSandbox(sandboxSpec(id, { hostname: id, network: { kind: 'pod' } }))
  return { sandbox, container: await scratch.runtime.restoreContainer(counterSpec(scratch, id), directory) }
}

async function ask({ sandbox }: Counter): Promise<Answer> {
  const answer = await fetch(`http://${sandbox.ip}:8080/`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(10_000),
  })
  return (await answer.json()) as Answer
}

/** Resolves when a log has a line: the log is another process's file, which has no event for us. */
async function logged(path: string, line: string): Promise<void> {
  for (;;) {
    if ((await readFile(path, 'utf8').catch(() => '')).includes(line)) return
    await delay(10)
  }
}

test('a fork goes on where its parent is, under a name and an address of its own', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const parent = await startCounter(scratch, 'parent')
  expect(await ask(parent)).toMatchObject({ count: 1, hostname: 'parent', pid: 1 })
  const directory = join(stateDirectory, 'snapshot')
  const snapshot = await runtime.checkpoint('parent', { directory, leaveRunning: true })
  expect(snapshot).toMatchObject({ directory, machine: { platform: 'systrap' } })
  expect(snapshot.sizeBytes).toBeGreaterThan(1024 * 1024)

  const children = await Promise.all(['child-1', 'child-2'].map((id) => restoreCounter(scratch, id, directory)))
  const answers = await Promise.all([parent, ...children].map(ask))
  expect(answers.map(({ count, hostname, pid, kept }) => ({ count, hostname, pid, kept }))).toEqual(
    ['parent', 'child-1', 'child-2'].map((hostname) => ({
      count: 2,
      hostname,
      pid: 1,
      kept: 'on the root file system',
    })),
  )
  expect(new Set(answers.map(({ random }) => random)).size).toBe(3)
  expect(new Set([parent, ...children].map(({ sandbox }) => sandbox.ip)).size).toBe(3)
  // They have parted.
  expect((await ask(parent)).count).toBe(3)
  const [child] = children
  if (!child) throw new Error('no child')
  // It is as good as one that was started: its log, processes that join it, its end.
  await logged(child.container.spec.logPath, 'asked 2')
  expect(await execText(runtime, child.container.spec.id, ['hostname'])).toMatchObject({
    stdout: 'child-1\n',
    exit: { exitCode: 0 },
  })
  await runtime.stopContainer(child.container.spec.id, { graceMs: 10_000 })
  expect((await scratch.exitOf(child.container.spec.id)).state).toMatchObject({
    phase: 'exited',
    exitCode: 7,
    reason: 'error',
  })
})

test('a sandbox that is ended with its snapshot goes on in the next', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const before = await startCounter(scratch, 'before')
  await ask(before)
  const directory = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('before', { directory, leaveRunning: false })
  expect((await scratch.exitOf('before-c')).state).toMatchObject({
    phase: 'exited',
    exitCode: 0,
    reason: 'checkpointed',
  })
  await runtime.removeSandbox('before')
  const after = await restoreCounter(scratch, 'after', directory)
  expect(await ask(after)).toMatchObject({ count: 2, hostname: 'after' })
})

test('a snapshot that is not what was written, or would give other rights, or is of another version is refused', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  await startCounter(scratch, 'source')
  const directory = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('source', { directory, leaveRunning: true })
  await runtime.createSandbox(sandboxSpec('copy'))
  const refused = async (changes: Partial<ContainerSpec> = {}): Promise<unknown> =>
    await runtime.restoreContainer(counterSpec(scratch, 'copy', changes), directory).catch((error: RuntimeError) => ({
      code: error.code,
      message: error.message,
    }))

  expect(await refused({ capabilities: ['CAP_SYS_ADMIN'] })).toEqual({
    code: 'snapshot-incompatible',
    message:
      'the processes of the snapshot have capabilities [], the container is to have ["CAP_SYS_ADMIN"]: both must be the same',
  })
  expect(await refused({ user: { uid: 1, gid: 1, additionalGids: [] } })).toMatchObject({
    code: 'snapshot-incompatible',
  })

  const manifestPath = join(directory, 'snapshot.json')
  const manifest = await readFile(manifestPath, 'utf8')
  await writeFile(manifestPath, manifest.replace(/"runtimeVersion":"[^"]*"/, '"runtimeVersion":"0.0~20990101.0"'))
  expect(await refused()).toMatchObject({
    code: 'snapshot-incompatible',
    message: expect.stringMatching(
      /^the snapshot was made with gVisor 0.0~20990101.0, here is \S+: it can be restored/,
    ),
  })
  await writeFile(manifestPath, manifest.replace('"format":1', '"format":2'))
  expect(await refused()).toEqual({
    code: 'snapshot-incompatible',
    message: 'the snapshot has format 2, this version reads format 1: make a new one',
  })
  await writeFile(manifestPath, manifest)

  const pages = await readFile(join(directory, 'pages.img'))
  pages.writeUInt8(pages.readUInt8(5000) ^ 1, 5000)
  await writeFile(join(directory, 'pages.img'), pages)
  expect(await refused()).toEqual({
    code: 'snapshot-damaged',
    message: 'the snapshot is damaged: its file pages.img is not what was written: the digest differs; make a new one',
  })
  await truncate(join(directory, 'pages.img'), 100)
  expect(await refused()).toMatchObject({ code: 'snapshot-damaged' })
  await rm(manifestPath)
  expect(await refused()).toMatchObject({ code: 'snapshot-damaged' })
  // Nothing was begun for any of them.
  expect(await runtime.get('copy')).toMatchObject({ containers: [] })
})

test.for([true, false])(
  'on a full disk the sandbox goes on and nothing is left (leaveRunning: %s)',
  async (leaveRunning) => {
    const scratch = await scratchRuntime()
    const { runtime, stateDirectory } = scratch
    const small = join(stateDirectory, 'small')
    await mkdir(small)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=66m', 'tmpfs', small])
    onTestFinished(() => void execFileSync('umount', [small]))
    const source = await startCounter(scratch, 'source', {
      container: {
        args: ['python3', '-u', '-c', `import os\nballast = os.urandom(80 << 20)\n${COUNTER}`],
      },
    })
    await ask(source)
    await expect(
      runtime.checkpoint('source', { directory: join(small, 'snapshot'), leaveRunning }),
    ).rejects.toMatchObject({ code: 'disk-full' })
    expect(await readdir(small)).toEqual([])
    expect(await ask(source)).toMatchObject({ count: 2 })
  },
)

test('what an exec left connected to its client keeps a snapshot from being made, and nothing else', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const source = await startCounter(scratch, 'source')
  const streams = await runtime.exec('source-c', {
    args: ['sh', '-c', 'echo runs; exec sleep 1000'],
    env: {},
    tty: false,
    stdin: false,
  })
  streams.exit.catch(() => undefined)
  streams.stderr?.resume()
  await once(streams.stdout, 'data')
  const directory = join(stateDirectory, 'snapshot')
  for (const leaveRunning of [true, false]) {
    await expect(runtime.checkpoint('source', { directory, leaveRunning })).rejects.toMatchObject({
      code: 'snapshot-incompatible',
      message: expect.stringMatching(/^a process that was started by exec holds on to its client/),
    })
  }
  expect(await ask(source)).toMatchObject({ count: 1 })
  // Once it has ended nothing is in the way, and the next one has its own.
  await streams[Symbol.asyncDispose]()
  await execText(runtime, 'source-c', ['sh', '-c', 'while pkill -x sleep; do :; done'])
  await runtime.checkpoint('source', { directory, leaveRunning: true })
  const copy = await restoreCounter(scratch, 'copy', directory)
  expect(await ask(copy)).toMatchObject({ count: 2 })
})

test('a sentry that is killed while it is kept leaves nothing, and its end is told', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const { container } = await startCounter(scratch, 'source', {
    container: { args: ['python3', '-u', '-c', `import os\nballast = os.urandom(64 << 20)\n${COUNTER}`] },
  })
  const directory = join(stateDirectory, 'snapshot')
  const { state } = container
  if (state.phase !== 'running') throw new Error('it does not run')
  const kept = runtime.checkpoint('source', { directory, leaveRunning: false })
  kept.catch(() => undefined)
  // In the middle: the file of the memory has begun to grow.
  for (;;) {
    const { size } = await stat(join(directory, 'pages.img')).catch(() => ({ size: 0 }))
    if (size > 0) break
    await delay(1)
  }
  process.kill(state.pid, 'SIGKILL')
  await expect(kept).rejects.toThrow()
  expect(existsSync(directory)).toBe(false)
  expect((await scratch.exitOf('source-c')).state).toMatchObject({ phase: 'exited', reason: 'sentry-died' })
})

test('a sandbox that could not be ended with its snapshot goes on, and ends like any other', async () => {
  let scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const { stateDirectory } = scratch
  const source = await startCounter(scratch, 'source', { sandbox: { shared: true }, container: { name: 'counter' } })
  const directory = join(stateDirectory, 'snapshot')
  // The process that holds the sandbox open is marked to end before the container, which cannot be.
  await symlink('/nowhere/at-all', join(stateDirectory, 'containers/source-c/checkpointed'))
  await expect(scratch.runtime.checkpoint('source', { directory, leaveRunning: false })).rejects.toThrow('ENOENT')
  expect(existsSync(directory)).toBe(false)
  expect(await ask(source)).toMatchObject({ count: 1 })
  // Also as the next process sees it.
  await scratch.runtime[Symbol.asyncDispose]()
  scratch = await createScratchRuntime({ stateDirectory })
  expect(await ask(source)).toMatchObject({ count: 2 })
  await scratch.runtime.stopContainer('source-c', { graceMs: 10_000 })
  expect((await scratch.exitOf('source-c')).state).toMatchObject({ exitCode: 7, reason: 'error' })
})

test('what runs in a sandbox is kept and goes on in the next although another container of it has ended', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const source = await startCounter(scratch, 'source', { sandbox: { shared: true }, container: { name: 'counter' } })
  const done = { sandboxId: 'source', name: 'done', args: ['/bin/true'] }
  await runtime.startContainer(containerSpec(scratch, 'source-done', done))
  await scratch.exitOf('source-done')
  const directory = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('source', { directory, leaveRunning: true })
  expect(await ask(source)).toMatchObject({ count: 1, hostname: 'source' })
  const sandbox = await runtime.createSandbox(
    sandboxSpec('copy', { hostname: 'copy', network: { kind: 'pod' }, shared: true, snapshot: directory }),
  )
  const container = await runtime.restoreContainer(counterSpec(scratch, 'copy', { name: 'counter' }), directory)
  expect(await ask({ sandbox, container })).toMatchObject({ count: 1, hostname: 'copy' })
})

test('a sandbox of which all containers were restored, and which cannot go on as it should, has ended when that is said', async () => {
  const scratch = await scratchRuntime()
  const { runtime, stateDirectory } = scratch
  const source = await startCounter(scratch, 'source', { sandbox: { shared: true }, container: { name: 'counter' } })
  const other = { name: 'other', args: ['/bin/sleep', '1000'] }
  await runtime.startContainer(containerSpec(scratch, 'source-o', { sandboxId: 'source', ...other }))
  expect(await ask(source)).toMatchObject({ count: 1 })
  const directory = join(stateDirectory, 'snapshot')
  await runtime.checkpoint('source', { directory, leaveRunning: false })
  const begin = async (id: string, sysctls: Record<string, string>): Promise<unknown[]> => {
    const shared = { hostname: id, network: { kind: 'pod' as const }, shared: true, snapshot: directory }
    await runtime.createSandbox(sandboxSpec(id, { ...shared, sysctls }))
    await runtime.restoreContainer(counterSpec(scratch, id, { name: 'counter' }), directory)
    const half = await statesOf(runtime, id)
    const last = containerSpec(scratch, `${id}-o`, { sandboxId: id, ...other })
    const outcome = await runtime.restoreContainer(last, directory).catch((error: Error) => error.message)
    if (typeof outcome === 'string') await scratch.exitOf(`${id}-c`)
    return [half, typeof outcome === 'string' ? outcome : outcome.state.phase, await statesOf(runtime, id)]
  }
  expect(await begin('refused', { 'net.ipv4.tcp_rmem': 'none' })).toEqual([
    [true, ['refused-c', 'created']],
    'the sandbox does not take net.ipv4.tcp_rmem="none"',
    [false, ['refused-c', 'exited']],
  ])
  expect(await begin('copy', {})).toEqual([
    [true, ['copy-c', 'created']],
    'running',
    [true, ['copy-c', 'running'], ['copy-o', 'running']],
  ])
  const sandbox = await runtime.get('copy')
  expect(sandbox && (await ask({ ...source, sandbox }))).toMatchObject({ count: 2, hostname: 'copy' })
})

test.each<[what: string, end: (scratch: ScratchRuntime, container: Container) => Promise<void>]>([
  [
    'cannot be given its name by the next process',
    async ({ runtime, stateDirectory }) => {
      await runtime[Symbol.asyncDispose]()
      // Of whose sentry nobody knows how to ask it.
      for (const name of await readdir(join(stateDirectory, 'runsc')))
        if (name.startsWith('copy-c')) await truncate(join(stateDirectory, 'runsc', name))
    },
  ],
  [
    'has ended when the next process comes',
    async ({ runtime, exitOf }, { state }) => {
      if (state.phase === 'running') process.kill(state.pid, 'SIGKILL')
      await exitOf('copy-c')
      await runtime[Symbol.asyncDispose]()
    },
  ],
])('what was restored, and %s, goes, and begins with the snapshot again', async (_what, end) => {
  let scratch = await createScratchRuntime()
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const { stateDirectory } = scratch
  const source = await startCounter(scratch, 'source')
  expect(await ask(source)).toMatchObject({ count: 1 })
  const directory = join(stateDirectory, 'snapshot')
  await scratch.runtime.checkpoint('source', { directory, leaveRunning: false })
  const { container } = await restoreCounter(scratch, 'copy', directory)
  // As a process leaves it that is killed before it has given the name.
  await writeFile(join(stateDirectory, 'containers/copy-c/restoring'), '')
  await end(scratch, container)
  scratch = await createScratchRuntime({ stateDirectory })
  expect(await scratch.runtime.get('copy')).toBeUndefined()
  expect(await ask(await restoreCounter(scratch, 'copy', directory))).toMatchObject({ count: 2, hostname: 'copy' })
})

async function statesOf({ get }: Runtime, id: string): Promise<unknown> {
  const sandbox = await get(id)
  return [sandbox?.alive, ...(sandbox?.containers.map(({ spec, state }) => [spec.id, state.phase]) ?? [])]
}
