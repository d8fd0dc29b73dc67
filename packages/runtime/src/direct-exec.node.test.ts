/** Processes that a sentry is asked for directly, and those of `runsc exec` in the same container. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ociProcess } from './oci/process.ts'
import type { ContainerSpec, ExecSpec } from './runtime.ts'
import { processesWith } from './testing/processes.ts'
import {
  containerSpec,
  createScratchRuntime,
  execText,
  type ScratchRuntime,
  sandboxSpec,
} from './testing/scratch-runtime.ts'

let scratch: ScratchRuntime
beforeAll(async () => {
  scratch = await createScratchRuntime()
})
afterAll(() => scratch[Symbol.asyncDispose]())

async function run(id: string, changes: Partial<ContainerSpec> = {}): Promise<string> {
  await scratch.runtime.createSandbox(sandboxSpec(id))
  await scratch.runtime.startContainer(containerSpec(scratch, `${id}-1`, { sandboxId: id, ...changes }))
  return `${id}-1`
}

interface Supervision {
  supervision: { ociId: string; command: { program: string; args: string[] } }
  running: { pid: number }
}

async function supervisionOf(containerId: string): Promise<Supervision> {
  const file = join(scratch.stateDirectory, 'containers', containerId, 'supervision.json')
  return JSON.parse(await readFile(file, 'utf8')) as Supervision
}

/** What the same process says where the command executes it. */
async function byCommand(container: ContainerSpec, exec: ExecSpec): Promise<string> {
  const { supervision } = await supervisionOf(container.id)
  const { program, args } = supervision.command
  const file = join(scratch.stateDirectory, 'process.json')
  const process = ociProcess({
    ...container,
    handler: 'runsc',
    args: exec.args,
    env: { HOSTNAME: 'sandbox', LANG: 'C.UTF-8', ...container.env, ...exec.env },
    user: exec.user ?? container.user,
    cwd: exec.cwd ?? container.cwd,
    tty: false,
  })
  await writeFile(file, JSON.stringify(process))
  const global = args.slice(0, args.indexOf('run'))
  const { stdout } = await promisify(execFile)(program, [...global, 'exec', '--process', file, supervision.ociId])
  return stdout
}

// What it is, may do and sees; the order of an environment says nothing.
const SELF = [
  'id',
  'pwd',
  'umask',
  'env | sort',
  'ulimit -S -a; ulimit -H -a',
  'grep -vE "^(Pid|PPid|TracerPid|Tgid|NSpid|Vm|Rss|voluntary|nonvoluntary|FDSize)" /proc/self/status',
  'ls -l /proc/self/fd | grep -c host:',
  'readlink /proc/self/ns/pid /proc/self/ns/net',
  // Whose child it is, whether it leads its group and its session, and its terminal.
  'read pid name state parent group session terminal rest < /proc/$$/stat',
  'echo $parent $((pid == group)) $((pid == session)) $terminal',
].join('; ')

describe('a process that the sentry is asked for', () => {
  test.each<[string, Partial<ContainerSpec>, Partial<ExecSpec>]>([
    ['as root without capabilities', {}, {}],
    [
      'as root with some, and one that nobody gets',
      { capabilities: ['CAP_NET_RAW', 'CAP_CHOWN', 'CAP_SYS_PTRACE', 'CAP_CHECKPOINT_RESTORE'] },
      {},
    ],
    ['with all of them', { privileged: true }, {}],
    [
      'as somebody with groups',
      { user: { uid: 1000, gid: 1001, additionalGids: [7, 8] }, capabilities: ['CAP_NET_RAW', 'CAP_CHOWN'] },
      { env: { FROM: 'exec', EMPTY: '' }, cwd: '/tmp' },
    ],
    ['as nobody that the image knows', {}, { user: { uid: 54_321, gid: 54_321, additionalGids: [] } }],
  ])('is what the command makes of it: %s', async (name, container, changes) => {
    const id = await run(`same-${name.length}`, { env: { FROM: 'container' }, ...container })
    const exec = { args: ['/bin/sh', '-c', SELF], env: {}, tty: false, stdin: false, ...changes }
    const ours = await execText(scratch.runtime, id, exec.args, exec)
    const spec = (await scratch.runtime.get(id.slice(0, -2)))?.containers[0]?.spec
    if (!spec) throw new Error(`container ${id} is not there`)
    expect(ours).toEqual({ stdout: await byCommand(spec, exec), stderr: '', exit: { exitCode: 0 } })
  })

  test('costs no process of the runtime', async () => {
    const id = await run('no-process')
    await using streams = await scratch.runtime.exec(id, {
      args: ['/bin/sh', '-c', 'echo up; exec sleep 1000'],
      env: {},
      tty: false,
      stdin: false,
    })
    await once(streams.stdout, 'data')
    const directory = join(scratch.stateDirectory, 'containers', id)
    const commands = await Promise.all(
      (await processesWith(directory)).map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8')),
    )
    expect(commands.filter((command) => command.split('\0').includes('exec'))).toEqual([])
  })

  test('takes arguments and variables that are longer than a packet, and bytes of any kind', async () => {
    const id = await run('long')
    const long = 'ü€𝄞"\\\n\t'.repeat(8_000)
    const script = 'printf %s "$1" | md5sum; printf %s "$LONG" | md5sum'
    const args = ['/bin/sh', '-c', script, 'sh', long]
    const { stdout } = await execText(scratch.runtime, id, args, { env: { LONG: long } })
    const [one, two] = stdout.split('\n')
    await using streams = await scratch.runtime.exec(id, { args: ['md5sum'], env: {}, tty: false, stdin: true })
    streams.stdin?.end(long)
    const read = (await text(streams.stdout)).trimEnd()
    expect([one, two]).toEqual([read, read])
  })

  test('reads its input to the end, ends with the signal that ends it, and says which command is not one', async () => {
    const id = await run('ends')
    const exitOf = async (script: string) => (await execText(scratch.runtime, id, ['/bin/sh', '-c', script])).exit
    expect([await exitOf('exit 255'), await exitOf('exit 126'), await exitOf('kill -KILL $$')]).toEqual([
      { exitCode: 255 },
      { exitCode: 126 },
      { exitCode: 137 },
    ])
    for (const command of ['/etc', '/etc/passwd', 'nosuch'])
      await expect(execText(scratch.runtime, id, [command])).rejects.toMatchObject({
        code: 'command-not-found',
        message: expect.stringContaining(`executing command "${command}" in sandbox: `),
      })
  })

  test('belongs to its own container where several share a sentry', async () => {
    await scratch.runtime.createSandbox(sandboxSpec('shared', { shared: true }))
    for (const name of ['one', 'two']) {
      const args = ['/bin/sh', '-c', `echo ${name} > /tmp/name; exec sleep 1000`]
      await scratch.runtime.startContainer(containerSpec(scratch, name, { sandboxId: 'shared', args }))
    }
    const of = async (id: string) =>
      (await execText(scratch.runtime, id, ['/bin/sh', '-c', 'cat /tmp/name; cat /proc/1/cmdline'])).stdout
    expect([await of('one'), await of('two')]).toEqual(['one\nsleep\x001000\x00', 'two\nsleep\x001000\x00'])
  })

  test('ends with its container', async () => {
    const id = await run('with-container')
    await using streams = await scratch.runtime.exec(id, {
      args: ['/bin/sh', '-c', 'echo up; exec sleep 1000'],
      env: {},
      tty: false,
      stdin: false,
    })
    await once(streams.stdout, 'data')
    await scratch.runtime.stopContainer(id, { graceMs: 0 })
    // Either the sentry tells that it was killed, or it was gone before it could.
    expect(await streams.exit.catch((error: Error) => error.message)).toSatisfy(
      (end) => (end as { exitCode?: number }).exitCode === 137 || String(end).endsWith('closed its control socket'),
    )
  })

  test('says that the sentry is gone where that is killed', async () => {
    const id = await run('sentry')
    await using streams = await scratch.runtime.exec(id, {
      args: ['/bin/sh', '-c', 'echo up; exec sleep 1000'],
      env: {},
      tty: false,
      stdin: false,
    })
    await once(streams.stdout, 'data')
    process.kill((await supervisionOf(id)).running.pid, 'SIGKILL')
    await expect(streams.exit).rejects.toMatchObject({
      code: 'failed',
      message: expect.stringMatching(/the sentry closed its control socket$/),
    })
  })
})

test('what a daemon executes ends with it when it is killed', async () => {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'caisson-runtime-'))
  try {
    const main = fileURLToPath(new URL('./testing/executing-daemon.ts', import.meta.url))
    // It would go on for ever, with children.
    const args = ['/bin/sh', '-c', 'trap "" HUP TERM PIPE; sleep 7531 & echo up; while :; do sleep 7532; done']
    const daemon = spawn(process.execPath, [main, stateDirectory, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(daemon, 'exit')
    await once(daemon.stdout, 'data')
    daemon.kill('SIGKILL')
    await ended
    await using next = await createScratchRuntime({ stateDirectory })
    const search = 'while grep -qs "^sleep.753" /proc/[0-9]*/cmdline; do sleep 0.05; done; echo gone'
    expect((await execText(next.runtime, 'a-1', ['/bin/sh', '-c', search])).stdout).toBe('gone\n')
  } finally {
    await rm(stateDirectory, { recursive: true, force: true })
  }
})
