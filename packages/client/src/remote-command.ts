/** Commands in containers: exec and attach over WebSocket. */
import type { Readable, Writable } from 'node:stream'
import type { Status } from '@caisson/api'
import { ApiError } from './api-error.ts'
import { type Channels, openChannels } from './channels.ts'
import type { Client } from './client.ts'
import { resources } from './core-resources.ts'
import { resourcePath } from './resource.ts'
import { TransportError } from './transport-error.ts'

export interface AttachOptions {
  namespace: string
  /** The Pod's only one, or its default, where it is left out. */
  container?: string
  /** Whether the command's standard input is connected. */
  stdin?: boolean
  /** Connected unless false. */
  stdout?: boolean
  /** Connected unless false; with `tty` never, because a terminal has one output. */
  stderr?: boolean
  tty?: boolean
  /** Ends the connection, not the command: Kubernetes has no way to say that. */
  signal?: AbortSignal
}

export interface ExecOptions extends AttachOptions {
  command: readonly string[]
}

export interface CommandExit {
  /** What the command exited with; 128 + n where signal n ended it, as its runtime says. */
  exitCode: number
}

/**
 * A command that runs. Its outputs share one connection and have to be read, or resumed, for it to come to its end; who
 * does not want one leaves it out in the options.
 */
export interface RemoteCommand extends AsyncDisposable {
  /** Undefined where it was not asked for, as with the others. `end()` closes the command's standard input. */
  stdin: Writable | undefined
  stdout: Readable | undefined
  stderr: Readable | undefined
  /** Tells the size of the terminal; only with `tty`. */
  resize(size: { columns: number; rows: number }): void
  /**
   * Resolves when the command has ended and its outputs were read. Rejects with an ApiError when it could not be run, a
   * TransportError when the connection broke, or the signal's reason.
   */
  exit: Promise<CommandExit>
}

const V5 = 'v5.channel.k8s.io'
const V4 = 'v4.channel.k8s.io'
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const
const STATUS_LIMIT = 1024 * 1024
/** After the command's status the server closes; one that forgets to is not waited for longer. */
const CLOSE_MS = 5_000

/** Runs a command in a container of a running Pod. */
export function execInPod(client: Client, pod: string, options: ExecOptions): Promise<RemoteCommand> {
  return openCommand(client, { pod, subresource: 'exec', command: options.command, options })
}

/** Connects to the container's own process. */
export function attachToPod(client: Client, pod: string, options: AttachOptions): Promise<RemoteCommand> {
  return openCommand(client, { pod, subresource: 'attach', command: [], options })
}

interface CommandRequest {
  pod: string
  subresource: 'exec' | 'attach'
  command: readonly string[]
  options: AttachOptions
}

async function openCommand(client: Client, request: CommandRequest): Promise<RemoteCommand> {
  const { pod, subresource, command, options } = request
  const { namespace, container, stdin = false, stdout = true, tty = false, signal } = options
  const stderr = !tty && (options.stderr ?? true)
  const { transport } = client
  if (!transport.openWebSocket) throw new TypeError(`${subresource} needs a connection over the network`)
  const flags = Object.entries({ stdin, stdout, stderr, tty }).filter(([, wanted]) => wanted)
  const { socket, protocol } = await transport.openWebSocket({
    path: resourcePath(resources.pods, { namespace, name: pod, subresource }),
    query: [
      ...command.map((word): [string, string] => ['command', word]),
      ...(container === undefined ? [] : ([['container', container]] as const)),
      ...flags.map(([name]): [string, string] => [name, 'true']),
    ],
    protocols: [V5, V4],
    ...(signal && { signal }),
  })
  const channels = openChannels(socket, { closeSignal: protocol === V5 })
  const sizes = tty ? channels.output(CHANNEL.resize) : undefined
  return {
    stdin: stdin ? channels.output(CHANNEL.stdin) : undefined,
    stdout: stdout ? channels.input(CHANNEL.stdout) : undefined,
    stderr: stderr ? channels.input(CHANNEL.stderr) : undefined,
    resize({ columns, rows }) {
      sizes?.write(JSON.stringify({ Width: columns, Height: rows }))
    },
    exit: waitForExit(channels, signal),
    async [Symbol.asyncDispose]() {
      channels.destroy(new TransportError('closed', 'the command was left'))
      await channels.closed
    },
  }
}

function waitForExit(channels: Channels, signal: AbortSignal | undefined): Promise<CommandExit> {
  const exit = readExit(channels, signal)
  // Nobody has to wait for it.
  exit.catch(() => {})
  return exit
}

async function readExit(channels: Channels, signal: AbortSignal | undefined): Promise<CommandExit> {
  const onAbort = () =>
    channels.destroy(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)))
  signal?.addEventListener('abort', onAbort, { once: true })
  let text = ''
  let closing: NodeJS.Timeout | undefined
  try {
    if (signal?.aborted) onAbort()
    // Whole at its end only: a server may send it in parts.
    for await (const part of channels.input(CHANNEL.error).setEncoding('utf8') as AsyncIterable<string>) {
      text += part
      channels.complete()
      if (text.length > STATUS_LIMIT) throw new TransportError('too-large', 'the status of the command has no end')
      closing ??= setTimeout(() => channels.close(), CLOSE_MS)
    }
  } catch (error) {
    // A connection that breaks after the status has nothing more to say.
    if (signal?.aborted) throw signal.reason
    if (!text) throw error
  } finally {
    clearTimeout(closing)
    signal?.removeEventListener('abort', onAbort)
  }
  if (!text) throw new TransportError('lost', 'the connection ended without saying how the command did')
  return exitOf(text)
}

function exitOf(text: string): CommandExit {
  let status: Status
  try {
    status = JSON.parse(text) as Status
  } catch (error) {
    throw new TransportError('malformed', 'the status of the command is not JSON', { cause: error })
  }
  if (status.status === 'Success') return { exitCode: 0 }
  if (status.reason === 'NonZeroExitCode') {
    const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message
    if (code !== undefined && /^\d{1,3}$/.test(code)) return { exitCode: Number(code) }
  }
  throw new ApiError(status)
}
