import { spawn } from 'node:child_process'

export interface CommandOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  stdin?: string
  signal?: AbortSignal
  /** Without a signal: after so long, ms, it is ended and given up. */
  timeoutMs?: number
}

export interface CommandResult {
  exitCode: number
  stdout: string
  stderr: string
}

/** What can be done elsewhere: in a process to which starting another one costs less. */
export type RunCommand = (
  program: string,
  args: string[],
  options?: Pick<CommandOptions, 'env' | 'stdin' | 'timeoutMs'>,
) => Promise<CommandResult>

// Nothing that is run through here has more to say; the rest is dropped, not kept.
const OUTPUT_LIMIT = 1024 * 1024

/**
 * Runs a short-lived program to its end and collects what it says, at most 1 MiB of each stream. Rejects only where it
 * cannot be started, is aborted or takes too long; an exit code is for the caller to judge.
 */
export function runCommand(program: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
  const { signal = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs) } = options
  const child = spawn(program, args, {
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd ? { cwd: options.cwd } : {}),
    ...(signal ? { signal } : {}),
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = child[name]
    if (!stream) continue
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (output[name].length < OUTPUT_LIMIT) output[name] += text
    })
  }
  // A program that does not read its input is its own business: its exit code tells.
  child.stdin?.on('error', () => {}).end(options.stdin)
  child.on('error', reject)
  child.on('close', (code, signal) => resolve({ exitCode: code ?? 128 + (signal ? 1 : 0), ...output }))
  return promise
}
