/** Couples a process in a container to a client's streams: what exec and attach share over every protocol. */
import { finished, type Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Status } from '@caisson/api'
import type { ProcessStreams } from '@caisson/runtime'
import { exitedStatus, internalErrorStatus } from './command-status.ts'
import { readTerminalSizes } from './terminal-size.ts'

/** Which streams a client asked for. */
export interface StreamSelection {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  tty: boolean
}

/** A client's end. A stream that it did not ask for is undefined. */
export interface RemoteStreams {
  stdin: Readable | undefined
  stdout: Writable | undefined
  stderr: Writable | undefined
  resize: Readable | undefined
  /** Aborted as soon as the client is gone. */
  gone: AbortSignal
  /** Sends how the command ended, after all of its output, and closes the connection. */
  finish(status: Status): void
}

export interface RemoteCommand {
  /** Starts or joins the process. `signal` is aborted when the client goes. */
  start(signal: AbortSignal): Promise<ProcessStreams>
  /** For the message of a non-zero exit; undefined for attach, which does not report one. */
  args: readonly string[] | undefined
  /** Before the reason of a start that failed: `error executing command in container`. */
  failure: string
}

/**
 * Runs until the process has ended and its output is with the client, or the client is gone: then the process's streams
 * are disposed of, which ends an exec and leaves an attached container alone.
 */
export async function runRemoteCommand(remote: RemoteStreams, command: RemoteCommand): Promise<void> {
  let process: ProcessStreams
  try {
    process = await command.start(remote.gone)
  } catch (error) {
    remote.finish(internalErrorStatus(`${command.failure}: ${(error as Error).message}`))
    return
  }
  await using _ = process
  const { promise: gone, resolve: clientGone } = Promise.withResolvers<'gone'>()
  remote.gone.addEventListener('abort', () => clientGone('gone'), { once: true })
  if (remote.gone.aborted) return

  if (remote.resize) readTerminalSizes(remote.resize, (size) => process.resize(size))
  feed(remote.stdin, process.stdin)
  const outcome = await Promise.race([
    Promise.all([drain(process.stdout, remote.stdout), drain(process.stderr, remote.stderr), process.exit]).catch(
      (error: Error) => error,
    ),
    gone,
  ])
  if (outcome === 'gone') return
  if (outcome instanceof Error) remote.finish(internalErrorStatus(`${command.failure}: ${outcome.message}`))
  else remote.finish(exitedStatus(command.args ? outcome[2] : { exitCode: 0 }, command.args ?? []))
}

/**
 * Client to process. Where the process no longer reads, what the client goes on sending is read and dropped: it must not
 * stop the connection, which also carries the terminal's size and the news that the client is gone.
 */
function feed(from: Readable | undefined, to: Writable | undefined): void {
  if (!from) return
  from.on('error', () => {})
  if (!to) {
    from.resume()
    return
  }
  from.pipe(to)
  to.on('error', () => {})
  finished(to, { readable: false }, () => {
    from.unpipe(to)
    from.resume()
  })
}

/** Process to client. Output that the client did not ask for must not fill a pipe and stop the process. */
async function drain(from: Readable | undefined, to: Writable | undefined): Promise<void> {
  if (!from) {
    to?.end()
    return
  }
  if (to) return await pipeline(from, to)
  from.resume()
  await new Promise<void>((resolve) => finished(from, { writable: false }, () => resolve()))
}
