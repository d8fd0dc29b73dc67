import { kubernetesTime } from '@caisson/api'
import { CliError } from './cli-error.ts'

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** h, 292 years: Go counts a duration in nanoseconds, in 63 bits. Beyond it a moment may have no date that the API takes. */
const LONGEST_HOURS = 2_562_047

/**
 * Milliseconds of `30s`, `1h30m`, `250ms`, as Go writes durations; a bare number is seconds. At most what Go's hold.
 *
 * @throws CliError naming the option
 */
export function parseDuration(option: string, text: string): number {
  const ms = millisecondsOf(option, text)
  if (ms <= LONGEST_HOURS * UNITS.h) return ms
  throw new CliError('usage', `${option} takes ${LONGEST_HOURS}h at most, not ${text}`)
}

function millisecondsOf(option: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text) * UNITS.s
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw new CliError('usage', `${option} takes a duration such as 30s, 5m or 1h30m, not ${JSON.stringify(text)}`)
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit as keyof typeof UNITS], 0)
}

/**
 * The same, of a time that something is given: it is more than none.
 *
 * @throws CliError naming the option
 */
export function parseTimeout(option: string, text: string): number {
  const ms = parseDuration(option, text)
  if (ms > 0) return ms
  throw new CliError('usage', `${option} takes a duration of more than ${text}: leave it out for no limit`)
}

/** The `shutdownTime` of what this process is to end after `timeoutMs`: a second later, so that it is the one to say so. */
export function shutdownAfter(timeoutMs: number): string {
  return kubernetesTime(Date.now() + timeoutMs + 1000)
}
