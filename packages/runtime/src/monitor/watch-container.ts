import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { TerminalSize } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { settlesWithin } from '../settles-within.ts'
import { type ContainerEnd, monitorDied, waitForEnd } from './container-end.ts'
import { CHECKPOINTED_FILE, type Exited, type RunningProcess, writeExit } from './container-files.ts'
import { createFirstOutput } from './first-output.ts'
import type { LaunchedProcess } from './launched-process.ts'
import { createLogWriter } from './log-writer.ts'
import { createOutput, type Output } from './output.ts'
import { type MonitorEnds, windowSize } from './process-pipes.ts'
import { FRAME, type Supervision, writeFrame, writeJsonFrame } from './protocol.ts'
import { resizeInShim } from './shim-process.ts'
import { tellFailure } from './tell-failure.ts'

export interface SupervisedContainer {
  readonly supervision: Supervision
  readonly running: RunningProcess
  /** Resolves once it has ended, its output is in the log and its exit is on disk, where its directory still is. */
  readonly exited: Promise<Exited>
  attach(client: Duplex): AttachedClient
  /** Somebody is about to kill it on purpose: then it is not its isolation that failed. */
  expectKill(): void
}

export interface AttachedClient {
  /** Lets output flow, beginning with what was kept for the first client. */
  begin(): void
  /** @returns false where the process reads more slowly: wait for `onDrain` */
  write(chunk: Buffer): boolean
  onDrain(listener: () => void): void
  endInput(): void
  resize(size: TerminalSize): void
  detach(): void
}

// A sentry that several containers share may hold on to a pipe of one that has ended: its last output is long in it.
const LAST_OUTPUT_MS = 2_000

export interface Launch {
  launched: LaunchedProcess
  ends: MonitorEnds
}

/** Carries what a container puts out to its log and its clients, and their input to it, and notes its end. */
export function watchContainer(
  options: Launch & { supervision: Supervision; running: RunningProcess; adopted: boolean },
): SupervisedContainer {
  const { supervision, running, launched, ends, adopted } = options
  const { stdin, resize } = ends
  const log = createLogWriter(supervision.log)
  // One stdin is for one client, which wants all of the output. Of a container that was adopted the beginning is gone.
  const first =
    supervision.stdinOnce && !adopted ? createFirstOutput(() => outputs.forEach((each) => each.resume())) : undefined
  const output = (fd: number, stream: 'stdout' | 'stderr'): Output =>
    createOutput({
      fd,
      stream,
      container: supervision.directory,
      onChunk: (chunk) => {
        log.write(stream, chunk)
        return first?.add(stream, chunk) ?? true
      },
    })
  const outputs = [output(ends.stdout, 'stdout')]
  if (ends.stderr !== undefined) outputs.push(output(ends.stderr, 'stderr'))
  const clients = new Set<Duplex>()
  let killExpected = false
  let ended: Exited | undefined

  function sayEnded(client: Duplex, { exitCode, signal }: Exited): void {
    writeJsonFrame(client, FRAME.ended, { exitCode, ...(signal ? { signal } : {}) })
    client.end()
  }

  async function finish(): Promise<Exited> {
    const end = await waitForEnd({ supervision, running, launched, killExpected: () => killExpected })
    const kept = existsSync(join(supervision.directory, CHECKPOINTED_FILE))
    const exited = exitedState(
      running,
      kept ? { exitCode: 0, finishedAt: end.finishedAt, reason: 'checkpointed' } : end,
    )
    first?.unbound()
    const read = Promise.all(outputs.map((each) => each.ended))
    // A client that is slow is waited for, as its turn is; one that is stuck is cut off elsewhere.
    let waiting = true
    while (waiting) waiting = !(await settlesWithin(read, LAST_OUTPUT_MS)) && outputs.some((each) => each.wasHeldUp())
    for (const output of outputs) output[Symbol.dispose]()
    log.close()
    stdin?.destroy()
    resize?.destroy()
    launched[Symbol.dispose]()
    ended = exited
    // Whoever took its directory away will not look there; all others are told.
    tellFailure(() => writeExit(supervision.directory, exited))
    for (const client of clients) sayEnded(client, exited)
    return exited
  }

  return {
    supervision,
    running,
    exited: finish(),
    expectKill() {
      killExpected = true
    },
    attach(client) {
      if (ended && !first?.waits()) throw new RuntimeError('not-found', `container ${supervision.id} is not running`)
      let hasInput = true
      const closeInput = (): void => {
        if (!hasInput) return
        hasInput = false
        // Without stdinOnce the next client goes on typing where this one stopped.
        if (supervision.stdinOnce && !supervision.tty) stdin?.end()
      }
      return {
        begin() {
          // Not before: from here on outputs are read on, and every byte needs its client.
          for (const { stream, chunk } of first?.take() ?? []) writeFrame(client, FRAME[stream], chunk)
          if (ended) return sayEnded(client, ended)
          clients.add(client)
          for (const output of outputs) output.addClient(client)
        },
        write: (chunk) => !stdin || stdin.destroyed || stdin.writableEnded || stdin.write(chunk),
        onDrain: (listener) => stdin?.once('drain', listener).once('close', listener),
        endInput: closeInput,
        resize(size) {
          if (supervision.shim) resizeInShim(supervision.directory, { id: supervision.ociId }, size)
          else resize?.write(windowSize(size))
        },
        detach() {
          closeInput()
          clients.delete(client)
          for (const output of outputs) output.removeClient(client)
        },
      }
    },
  }
}

/** Ends a container of which nobody will ever know how it ends, and notes it. */
export function endUnwatched(supervision: Supervision, running: RunningProcess): void {
  writeExit(supervision.directory, exitedState(running, monitorDied(running)))
}

function exitedState(running: RunningProcess, end: ContainerEnd): Exited {
  return {
    phase: 'exited',
    exitCode: end.exitCode,
    ...(end.signal === undefined ? {} : { signal: end.signal }),
    startedAt: running.startedAt,
    finishedAt: end.finishedAt,
    reason: end.reason,
    ...(end.message === undefined ? {} : { message: end.message }),
  }
}
