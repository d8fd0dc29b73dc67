/** What ends `caisson run` before its command does, and `caisson cp` before all is copied. */
import { startTimer } from '@caisson/api'
import { EXIT_CODES } from '../cli-error.ts'
import { whenOutputFails } from '../output.ts'
import { say } from '../terminal-text.ts'

export interface StopSignal {
  signal: AbortSignal
  abort(): void
  exitCode(): number
  race<T>(work: Promise<T>): Promise<T>
}

/** What this process ends with where `stop` has ended its work. @param late said where that was the time-out */
export function exitStopped(stop: StopSignal, late: string): void {
  process.exitCode = stop.exitCode()
  if (process.exitCode === EXIT_CODES['timed-out']) say(late)
}

/** Aborts on a signal, with the shell's exit code for it, after the time-out, and where the output cannot be written. */
export function stopSignal(timeoutMs: number | undefined): StopSignal {
  const controller = new AbortController()
  let code: number = EXIT_CODES.failed
  const end = (exitCode: number): void => {
    code = exitCode
    controller.abort()
  }
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.once(name, () => end(128 + number))
  whenOutputFails(end)
  if (timeoutMs !== undefined) startTimer(timeoutMs, () => end(EXIT_CODES['timed-out']), { ref: false })
  const aborted = new Promise<never>((_, reject) =>
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error)),
  )
  aborted.catch(() => undefined)
  return {
    signal: controller.signal,
    abort: () => controller.abort(),
    exitCode: () => code,
    race: (work) => Promise.race([work, aborted]),
  }
}
