/** Executes in sandboxes' containers. */
import type { Readable, Writable } from 'node:stream'
import { type Client, execInPod, isApiError, type RemoteCommand } from '@caisson/client'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import { ExecError } from './exec-error.ts'
import type { HeldBytes } from './held-bytes.ts'

/** All that may be held of one command's output, bytes. */
const OUTPUT_LIMIT = 16 * 1024 * 1024
const FIRST_LINE_LIMIT = 4096
/** Of a script whose output nobody holds: what it says is short. */
const SMALL_OUTPUT = 64 * 1024
/** Of the standard error of a script of ours, whose complaints are short. */
const COMPLAINT_LIMIT = 4096

export interface ScriptOptions {
  script: string
  args: readonly string[]
  stdin?: boolean
  /** Gives it one, of this size. */
  terminal?: { columns: number; rows: number } | undefined
  /** For a script whose output is long. */
  held?: HeldBytes
  signal: AbortSignal
}

/** A script that runs and has said how it goes. */
export interface RunningScript extends AsyncDisposable {
  /** What it said, without `ok` or `no`. */
  words: readonly string[]
  ok: boolean
  stdin: Writable | undefined
  /** What follows that line. */
  stdout: Readable
  stderr: Readable | undefined
  resize: RemoteCommand['resize']
  exit: RemoteCommand['exit']
}

/**
 * Starts `sh -c SCRIPT` in the Pod's container. `feed` may write what it reads before it says anything.
 *
 * @throws ExecError `no-shell` where the image has none
 */
export async function startScript(
  client: Client,
  pod: SandboxPod,
  { script, args, stdin = false, terminal, signal, feed }: ScriptOptions & { feed?(stdin: Writable): void },
): Promise<RunningScript> {
  let command: RemoteCommand | undefined
  try {
    command = await execInPod(client, pod.name, {
      namespace: pod.namespace,
      container: pod.container,
      command: ['/bin/sh', '-c', script, 'sh', ...args],
      stdin,
      tty: terminal !== undefined,
      signal,
    })
    // Before it is waited for: what it becomes after its first word should see no other size.
    if (terminal) command.resize(terminal)
    if (feed && command.stdin) feed(command.stdin)
    const { stdout } = command
    if (!stdout) throw new TypeError('a script has an output')
    const line = await firstLine(stdout, command.exit)
    const [verdict, ...words] = line.split(' ')
    const running = command
    return {
      ok: verdict === 'ok',
      words,
      stdin: command.stdin,
      stdout,
      stderr: command.stderr,
      resize: command.resize,
      exit: command.exit,
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    }
  } catch (error) {
    await command?.[Symbol.asyncDispose]()
    signal.throwIfAborted()
    throw asExecError(error, pod)
  }
}

export interface ScriptResult {
  ok: boolean
  words: readonly string[]
  stdout: Buffer
  /** What its tools complained about. */
  complaint: string
}

/** Runs a script to its end. Its output is bounded. */
export async function runScript(client: Client, pod: SandboxPod, options: ScriptOptions): Promise<ScriptResult> {
  await using script = await startScript(client, pod, options)
  const [stdout, complaint] = await Promise.all([
    collect(script.stdout, options.held ?? SMALL_OUTPUT),
    script.stderr ? complaintOf(script.stderr) : '',
    script.exit,
  ])
  return { ok: script.ok, words: script.words, stdout, complaint }
}

/** The beginning of what a script's tools wrote, on one line; the rest is read and forgotten. */
export async function complaintOf(stderr: Readable): Promise<string> {
  let text = ''
  for await (const chunk of stderr as AsyncIterable<Buffer>)
    if (text.length < COMPLAINT_LIMIT) text += chunk.toString('utf8')
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .slice(0, COMPLAINT_LIMIT)
}

/**
 * All of a stream: at most `OUTPUT_LIMIT` bytes, which are counted, or so many.
 *
 * @throws ExecError `too-large` as soon as there is more, `busy` where all requests together hold as much as they may
 */
export async function collect(stream: Readable, held: HeldBytes | number): Promise<Buffer> {
  const limit = typeof held === 'number' ? held : OUTPUT_LIMIT
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (typeof held !== 'number') held.add(chunk.length)
    if (size > limit) throw new ExecError('too-large', `the output is larger than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Reads to the first line's end, and puts what came with it back. */
async function firstLine(stdout: Readable, exit: Promise<unknown>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let seen: Buffer = Buffer.alloc(0)
  function look(): void {
    for (;;) {
      const chunk = stdout.read() as Buffer | null
      if (chunk === null) return
      seen = Buffer.concat([seen, chunk])
      const end = seen.indexOf('\n')
      if (end < 0 && seen.length > FIRST_LINE_LIMIT) return reject(new ExecError('failed', 'the script said too much'))
      if (end < 0) continue
      stdout.off('readable', look)
      if (end + 1 < seen.length) stdout.unshift(seen.subarray(end + 1))
      // A terminal ends lines with two characters.
      return resolve(seen.subarray(0, end).toString('utf8').replace(/\r$/, ''))
    }
  }
  stdout.on('readable', look)
  stdout.once('error', reject)
  stdout.once('end', () => {
    // Why is what the command's end says.
    exit.then(() => reject(new ExecError('failed', 'the sandbox did not run the script to its first line')), reject)
  })
  return promise
}

/** How OCI runtimes say that there is no such program. */
const MISSING =
  /(?:failed to load \/bin\/sh|error finding executable|exec: "\/bin\/sh"|`\/bin\/sh`).*(?:no such file|not found)/i

function asExecError(error: unknown, pod: SandboxPod): unknown {
  if (!isApiError(error)) return error
  if (MISSING.test(error.message)) {
    return new ExecError(
      'no-shell',
      `the image of ${pod.sandbox} has no /bin/sh, which files and processes are served with: use an image that has one, or one that serves them itself`,
      { cause: error },
    )
  }
  return new ExecError('refused', error.message, { cause: error })
}
