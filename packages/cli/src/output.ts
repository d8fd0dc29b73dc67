/**
 * What becomes of a command whose output cannot be written, for all commands in one place: as a tool that SIGPIPE ends where
 * nobody reads any more, and with an error where there is no room for it.
 */
import { CliError, EXIT_CODES } from './cli-error.ts'

/** The shell's code for SIGPIPE, which Node ignores. */
const NOBODY_READS = 128 + 13

type Listener = (exitCode: number) => void

const listeners = new Set<Listener>()
let failure: number | undefined
let borne = false

/** From here on no output is lost in silence: the process ends, at once where nobody has asked to clean up first. */
export function guardOutput(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (!borne) fail(stream, error)
    })
  process.on('exit', () => {
    if (failure !== undefined) process.exitCode = failure
  })
}

/** For what serves others, who are not to suffer where nobody reads its log or a disk is full. */
export function bearFailedOutput(): void {
  borne = true
}

/** Calls back, with the exit code, instead of ending the process at once. */
export function whenOutputFails(listener: Listener): void {
  listeners.add(listener)
}

/** Resolves when all that was printed has been taken. @throws what kept it from being written */
export async function outputTaken(): Promise<void> {
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
  // An error is told behind the writes that it ended.
  await new Promise<void>((resolve) => setImmediate(resolve))
  if (failure !== undefined) throw new CliError('failed', 'standard output could not be written')
}

function fail(stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (failure !== undefined) return
  failure = error.code === 'EPIPE' ? NOBODY_READS : EXIT_CODES.failed
  if (error.code !== 'EPIPE' && stream === process.stdout)
    console.error(`caisson: standard output cannot be written: ${error.message}: what it was to say is not all there`)
  if (listeners.size === 0) process.exit(failure)
  for (const listener of listeners) listener(failure)
}
