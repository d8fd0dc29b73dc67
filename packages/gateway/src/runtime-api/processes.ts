/** Commands in sandboxes: begun, waited for, signalled, and killed with all that they started when nobody waits any more. */
import type { Readable, Writable } from 'node:stream'
import type { Client } from '@caisson/client'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import { ExecError } from './exec-error.ts'
import { runScript, startScript } from './run-in-pod.ts'
import { quoted, RUN, SIGNAL } from './scripts.ts'

export interface CommandOptions {
  args: readonly string[]
  env: Readonly<Record<string, string>>
  /** Below the base directory; empty for that. */
  workingDirectory: string
  /** Where the base directory usually is. */
  usualBase: string
  stdin: boolean
  /** With a terminal there is one output. */
  terminal?: { columns: number; rows: number } | undefined
  signal: AbortSignal
}

export interface SandboxProcess extends AsyncDisposable {
  /** In the sandbox; of its group too. */
  pid: number
  stdin: Writable | undefined
  stdout: Readable
  stderr: Readable | undefined
  resize(size: { columns: number; rows: number }): void
  /** 128 + n where signal n ended it. */
  exit: Promise<number>
  /** Sends it to the process and all of its group. */
  kill(signal: 'INT' | 'TERM' | 'KILL'): Promise<void>
}

/** Why a command did not begin. */
export type StartRefusal = 'escape' | 'workdir' | 'command' | 'base'

export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code: StartRefusal
  constructor(code: StartRefusal, message: string) {
    super(message)
    this.code = code
  }
}

/** More than this goes through the standard input: what is in a URL is bounded, and often written down. */
const ARGUMENT_LIMIT = 4096
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const KILL_MS = 10_000

/**
 * Begins a command, in its own group of processes. Disposing of it, or aborting the signal, kills the group.
 *
 * @throws StartError where the sandbox refuses it, ExecError where nothing can be executed there
 */
export async function startProcess(client: Client, pod: SandboxPod, options: CommandOptions): Promise<SandboxProcess> {
  const { env, workingDirectory, usualBase, terminal, signal } = options
  const wrong = Object.keys(env).find((name) => !ENV_NAME.test(name))
  if (wrong !== undefined) throw new TypeError(`${JSON.stringify(wrong)} is no name of an environment variable`)
  // What is written to a terminal is echoed by it, so that nothing can be said there but by arguments.
  const args = terminal ? [...environmentWords(env), ...options.args] : options.args
  const preamble = terminal ? Buffer.alloc(0) : preambleOf(options)
  // Nodes give a terminal its size at some time after it was made, when a command may have asked for it.
  const size = terminal ? `rows ${terminal.rows} cols ${terminal.columns}` : ''
  const script = await startScript(client, pod, {
    script: RUN,
    args: [usualBase, workingDirectory, String(preamble.length), size, ...(preamble.length > 0 ? [] : args)],
    stdin: options.stdin || preamble.length > 0,
    terminal,
    signal,
    feed: (stdin) => {
      if (preamble.length > 0) stdin.write(preamble)
      if (!options.stdin) stdin.end()
    },
  })
  if (!script.ok) {
    await script[Symbol.asyncDispose]()
    throw refusalOf(script.words[0], options.args[0] ?? '', workingDirectory)
  }
  const pid = Number(script.words[0])
  let ended = false
  const exit = (async () => {
    try {
      return (await script.exit).exitCode
    } finally {
      ended = true
    }
  })()
  exit.catch(() => {})
  const kill = async (name: string): Promise<void> => {
    await runScript(client, pod, {
      script: `${SIGNAL}; printf 'ok\\n'`,
      args: [name, String(pid)],
      signal: AbortSignal.timeout(KILL_MS),
    })
  }
  // The node kills what loses its client; other clusters' nodes do not.
  const abandon = (): void => {
    if (!ended) kill('KILL').catch(() => {})
  }
  signal.addEventListener('abort', abandon, { once: true })
  void exit.catch(() => {}).finally(() => signal.removeEventListener('abort', abandon))
  return {
    pid,
    stdin: options.stdin ? script.stdin : undefined,
    stdout: script.stdout,
    stderr: script.stderr,
    resize: script.resize,
    exit,
    kill,
    async [Symbol.asyncDispose]() {
      abandon()
      await script[Symbol.asyncDispose]()
    },
  }
}

/** A part of a script that sets words and environment; empty where the arguments of an exec do. */
function preambleOf({ args, env }: CommandOptions): Buffer {
  const size = args.reduce((sum, word) => sum + Buffer.byteLength(word), 0)
  const variables = Object.entries(env)
  if (variables.length === 0 && size <= ARGUMENT_LIMIT) return Buffer.alloc(0)
  return Buffer.from(
    `${variables.map(([name, value]) => `export ${name}=${quoted(value)}\n`).join('')}set -- ${args.map(quoted).join(' ')}\n`,
  )
}

function environmentWords(env: Readonly<Record<string, string>>): string[] {
  const variables = Object.entries(env)
  return variables.length === 0 ? [] : ['env', ...variables.map(([name, value]) => `${name}=${value}`)]
}

function refusalOf(code: string | undefined, program: string, workingDirectory: string): Error {
  switch (code) {
    case 'escape':
      return new StartError(
        code,
        `the working directory ${JSON.stringify(workingDirectory)} leads out of the sandbox's`,
      )
    case 'workdir':
      return new StartError(code, `there is no working directory ${JSON.stringify(workingDirectory)}`)
    case 'command':
      return new StartError(code, `${program}: command not found`)
    case 'base':
      return new StartError(code, 'the directory that paths are relative to cannot be entered')
    default:
      return new ExecError('failed', 'the sandbox answered what no script of the router says')
  }
}
