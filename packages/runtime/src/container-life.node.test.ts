import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  logText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
let count = 0
beforeAll(async () => {
  scratch = await createScratchRuntime()
})
afterAll(() => scratch[Symbol.asyncDispose]())

/** A sandbox and a container with ids of their own. */
async function run(
  changes: Partial<Parameters<typeof containerSpec>[2]>,
  sandbox: Parameters<typeof sandboxSpec>[1] = {},
): Promise<string> {
  const id = `t${++count}`
  await scratch.runtime.createSandbox(sandboxSpec(id, sandbox))
  const spec = containerSpec(scratch, `${id}-main`, { ...changes, sandboxId: id })
  await scratch.runtime.startContainer(spec)
  return spec.id
}

const log = async (id: string): Promise<string[]> =>
  logText(await readFile(`${scratch.stateDirectory}/${id}.log`, 'utf8'))

describe('a container under runsc', () => {
  test('runs the command it was given and passes on output and exit code', async () => {
    const id = await run({ args: ['/bin/sh', '-c', 'echo out; echo err >&2; exit 3'] })
    const { state } = await scratch.exitOf(id)
    expect(state).toMatchObject({ phase: 'exited', exitCode: 3, reason: 'error' })
    expect((await log(id)).sort()).toEqual(['stderr F err', 'stdout F out'])
  })

  test('sees another kernel than the machine has', async () => {
    const id = await run({ args: ['/bin/sh', '-c', 'dmesg | head -1'] })
    await scratch.exitOf(id)
    expect(await log(id)).toEqual([expect.stringMatching(/^stdout F \[ +0\.0+\] Starting gVisor\.\.\.$/)])
  })

  test('without a command runs for ever', async () => {
    const id = await run({})
    expect((await execText(scratch.runtime, id, ['/bin/cat', '/proc/1/cmdline'])).stdout).toBe('/bin/sleep\0infinity\0')
  })

  test('whose command is not there does not start and leaves nothing', async () => {
    const started = run({ args: ['/no/such/command'] })
    await expect(started).rejects.toMatchObject({ code: 'command-not-found' })
    expect((await scratch.runtime.get(`t${count}`))?.containers).toEqual([])
  })

  test('runs as the user it was given, without capabilities', async () => {
    const id = await run({
      user: { uid: 1000, gid: 1000, additionalGids: [4, 7] },
      capabilities: ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'],
      env: { HOME: '/home/user' },
      args: [
        '/bin/sh',
        '-c',
        'id -u; id -g; id -G; cd && touch mine && ls; grep -E "Cap(Eff|Bnd)|NoNew" /proc/self/status',
      ],
    })
    await scratch.exitOf(id)
    expect(await log(id)).toEqual([
      'stdout F 1000',
      'stdout F 1000',
      'stdout F 1000 4 7',
      'stdout F mine',
      'stdout F CapEff:\t0000000000000000',
      'stdout F CapBnd:\t0000000000000401',
    ])
  })

  test('is ended by TERM, and by KILL where it does not listen', async () => {
    const polite = await run({ args: ['/bin/sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done'] })
    const deaf = await run({ args: ['/bin/sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'] })
    await Promise.all([readyLine(polite), readyLine(deaf)])
    await scratch.runtime.stopContainer(polite, { graceMs: 10_000 })
    await scratch.runtime.stopContainer(deaf, { graceMs: 300 })
    expect((await scratch.exitOf(polite)).state).toMatchObject({ exitCode: 9, reason: 'error' })
    expect((await scratch.exitOf(deaf)).state).toMatchObject({ exitCode: 137, reason: 'error' })
    await scratch.runtime.stopContainer(deaf, { graceMs: 300 })
  })

  test('keeps a grace that is longer than a timer counts', async () => {
    const deaf = await run({
      args: ['/bin/sh', '-c', 'trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done'],
    })
    await readyLine(deaf)
    const stopped = scratch.runtime.stopContainer(deaf, { graceMs: 2 ** 31 })
    await expect.poll(() => log(deaf)).toContain('stdout F asked')
    const { stdout } = await execText(scratch.runtime, deaf, ['/bin/sh', '-c', 'sleep 1; echo alive'])
    expect(stdout).toBe('alive\n')
    await scratch.runtime.stopContainer(deaf, { graceMs: 0 })
    await stopped
    expect((await scratch.exitOf(deaf)).state).toMatchObject({ exitCode: 137 })
  })

  test('starts again in the same sandbox', async () => {
    const id = await run({ args: ['/bin/true'] })
    await scratch.exitOf(id)
    const again = containerSpec(scratch, `${id}-2`, {
      sandboxId: id.replace('-main', ''),
      args: ['/bin/echo', 'again'],
    })
    await scratch.runtime.startContainer(again)
    await scratch.exitOf(again.id)
    expect(await log(again.id)).toEqual(['stdout F again'])
  })

  test('keeps large output whole and in order', async () => {
    const id = await run({ args: ['/usr/bin/seq', '1', '200000'] })
    await scratch.exitOf(id)
    const lines = (await log(id)).map((line) => line.replace(/^stdout /, ''))
    const joined = lines.map((line) => (line.startsWith('P') ? line.slice(2) : `${line.slice(2)}\n`)).join('')
    expect(joined).toBe(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(''))
  })
})

/** Resolves once the log says "ready": before that nothing of it waits for a signal. */
async function readyLine(id: string): Promise<void> {
  await expect.poll(() => log(id)).toContain('stdout F ready')
}

describe('attach', () => {
  test('stdin goes in, output comes out, and closing it once closes it for good', async () => {
    const id = await run({ args: ['/bin/cat'], stdin: true, stdinOnce: true })
    await using streams = await scratch.runtime.attach(id)
    streams.stdin?.end('one\ntwo\n')
    expect(await text(streams.stdout)).toBe('one\ntwo\n')
    expect(await streams.exit).toEqual({ exitCode: 0 })
  })

  test('without stdinOnce the next client goes on', async () => {
    const id = await run({ args: ['/bin/sh', '-c', 'read a; read b; echo "$a $b"'], stdin: true })
    const first = await scratch.runtime.attach(id)
    first.stdin?.end('one\n')
    await first[Symbol.asyncDispose]()
    await using second = await scratch.runtime.attach(id)
    second.stdin?.write('two\n')
    expect(await text(second.stdout)).toBe('one two\n')
  })

  test('a terminal echoes, has a size, and passes on ^C', async () => {
    const id = await run({
      args: ['/bin/sh', '-c', 'trap "stty size; exit 7" INT; read a; echo "got $a"; while :; do sleep 0.1; done'],
      tty: true,
      stdin: true,
    })
    await using streams = await scratch.runtime.attach(id)
    streams.resize({ columns: 97, rows: 31 })
    let seen = ''
    streams.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const before = seen
      seen += chunk
      if (!before.includes('got x') && seen.includes('got x')) streams.stdin?.write('\x03')
    })
    streams.stdin?.write('x\n')
    expect(await streams.exit).toEqual({ exitCode: 7 })
    expect(seen).toBe('x\r\ngot x\r\n^C31 97\r\n')
    expect(streams.stderr).toBeUndefined()
  })
})

describe('attach to a container that is being started', () => {
  async function starting(changes: Partial<Parameters<typeof containerSpec>[2]>) {
    const id = `t${++count}`
    await scratch.runtime.createSandbox(sandboxSpec(id))
    const spec = containerSpec(scratch, `${id}-main`, { ...changes, sandboxId: id })
    return { id: spec.id, started: scratch.runtime.startContainer(spec) }
  }

  test('waits for it and gives all of its output', async () => {
    const { id, started } = await starting({ args: ['/bin/cat'], stdin: true, stdinOnce: true })
    await using streams = await scratch.runtime.attach(id)
    streams.stdin?.end('first\n')
    expect(await text(streams.stdout)).toBe('first\n')
    expect(await streams.exit).toEqual({ exitCode: 0 })
    await started
  })

  test('fails as the start does', async () => {
    const { id, started } = await starting({ args: ['/no/such/command'] })
    const [attached, begun] = await Promise.allSettled([scratch.runtime.attach(id), started])
    expect(attached).toEqual(begun)
    expect(begun).toMatchObject({ status: 'rejected', reason: { code: 'command-not-found' } })
  })

  test('leaves it alone where the client goes before', async () => {
    const { id, started } = await starting({})
    const attaching = scratch.runtime.attach(id)
    await started
    await (await attaching)[Symbol.asyncDispose]()
    expect((await execText(scratch.runtime, id, ['/bin/echo', 'there'])).stdout).toBe('there\n')
  })
})

describe('exec', () => {
  let id: string
  beforeAll(async () => {
    id = await run({ env: { FROM: 'container' } })
  })

  test('has separate outputs, the exit code, the environment of the container and its own', async () => {
    const result = await execText(scratch.runtime, id, ['/bin/sh', '-c', 'echo $FROM $MORE; echo err >&2; exit 42'], {
      env: { MORE: 'exec' },
    })
    expect(result).toEqual({ stdout: 'container exec\n', stderr: 'err\n', exit: { exitCode: 42 } })
  })

  test('reports a signal as 128 + n', async () => {
    expect((await execText(scratch.runtime, id, ['/bin/sh', '-c', 'kill -TERM $$'])).exit).toEqual({ exitCode: 143 })
  })

  test('of a command that is not there says so', async () => {
    const result = execText(scratch.runtime, id, ['/no/such/command'])
    await expect(result).rejects.toMatchObject({ code: 'command-not-found' })
  })

  test.each([false, true])('and not in its output too (tty: %s)', async (tty) => {
    await using streams = await scratch.runtime.exec(id, { args: ['/no/such/command'], env: {}, tty, stdin: false })
    streams.exit.catch(() => {})
    expect(await text(streams.stdout)).toBe('')
    expect(streams.stderr && (await text(streams.stderr))).toBe(tty ? undefined : '')
    await expect(streams.exit).rejects.toMatchObject({
      code: 'command-not-found',
      message: expect.stringMatching(/^executing processes for container: .*\/no\/such\/command/),
    })
  })

  test('passes megabytes through unchanged', async () => {
    await using streams = await scratch.runtime.exec(id, { args: ['/bin/cat'], env: {}, tty: false, stdin: true })
    const sent = Buffer.alloc(8 * 1024 * 1024, 'caisson ')
    streams.stdin?.end(sent)
    const received: Buffer[] = []
    for await (const chunk of streams.stdout) received.push(chunk as Buffer)
    expect(Buffer.concat(received).equals(sent)).toBe(true)
  })

  test('with a terminal', async () => {
    await using streams = await scratch.runtime.exec(id, {
      args: ['/bin/sh', '-c', 'stty size; exit 5'],
      env: {},
      tty: true,
      stdin: true,
      size: { columns: 120, rows: 40 },
    })
    expect([await text(streams.stdout), await streams.exit]).toEqual(['40 120\r\n', { exitCode: 5 }])
  })

  test.each([false, true])('is killed with its group when the client goes (tty: %s)', async (tty) => {
    const marker = `7654${tty ? 1 : 2}`
    const streams = await scratch.runtime.exec(id, {
      args: ['/bin/sh', '-c', `sleep ${marker} & echo up; wait`],
      env: {},
      tty,
      stdin: false,
    })
    await once(streams.stdout, 'data')
    await streams[Symbol.asyncDispose]()
    const search = `while grep -qs "^sleep.${marker}" /proc/[0-9]*/cmdline; do sleep 0.05; done; echo gone`
    expect((await execText(scratch.runtime, id, ['/bin/sh', '-c', search])).stdout).toBe('gone\n')
  })
})

test('so many processes are executed in a sandbox at a time, and no more', async () => {
  await using scratch = await createScratchRuntime()
  await scratch.runtime.createSandbox(sandboxSpec('a'))
  await scratch.runtime.startContainer(containerSpec(scratch, 'a-1', { sandboxId: 'a' }))
  await using stack = new AsyncDisposableStack()
  const hold = () => scratch.runtime.exec('a-1', { args: ['/bin/sleep', '1000'], env: {}, tty: false, stdin: false })
  const held = await Promise.all(Array.from({ length: 64 }, hold))
  for (const streams of held) stack.use(streams)
  await expect(hold()).rejects.toThrow('64 processes were executed in this sandbox and have not ended')
  const [first] = held
  await first?.[Symbol.asyncDispose]()
  await first?.exit.catch(() => undefined)
  stack.use(await hold())
})

test('containers that share a sandbox live in a state directory with a path too long for sockets', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'caisson-long-'))
  const stateDirectory = join(parent, 'x'.repeat(100))
  await mkdir(stateDirectory)
  try {
    await using long = await createScratchRuntime({ stateDirectory })
    await long.runtime.createSandbox(sandboxSpec('shared', { shared: true }))
    const args = ['/bin/sh', '-c', 'read code; exit $code']
    await long.runtime.startContainer(containerSpec(long, 'a', { sandboxId: 'shared', args, stdin: true }))
    const streams = await long.runtime.attach('a')
    streams.stdin?.end('7\n')
    expect((await long.exitOf('a')).state).toMatchObject({ exitCode: 7, reason: 'error' })
  } finally {
    await rm(parent, { recursive: true, force: true })
  }
})
