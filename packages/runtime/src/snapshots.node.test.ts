import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import type { Container, ContainerSpec, Sandbox, SandboxSpec } from './runtime.ts'
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
