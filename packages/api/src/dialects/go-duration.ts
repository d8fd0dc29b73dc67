/** Durations as Go writes them, and so Kubernetes: `90s`, `1h30m`, `1.5h`. */

/** How many ms each unit has. */
export const GO_DURATION_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g
/** Go counts nanoseconds in 64 bits. */
const LONGEST_MS = 2 ** 63 / 1e6
/** No duration needs more, and texts come from strangers. */
const LONGEST_TEXT = 100

/** Milliseconds, with a fraction where the text has one. A string says, naming no field, what is wrong. */
export function parseGoDuration(text: string): number | string {
  const shown = JSON.stringify(text.slice(0, LONGEST_TEXT))
  const expected = `expected a duration such as 90s, 10m or 1h30m, found ${shown}`
  if (text.length > LONGEST_TEXT) return `${expected}…, which is too long`
  const sign = text.startsWith('-') ? -1 : 1
  const unsigned = text.replace(/^[-+]/, '')
  if (unsigned === '0') return 0
  const parts = [...unsigned.matchAll(PART)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== unsigned) {
    return /^[\d.]+$/.test(unsigned) ? `${expected}, which has no unit` : expected
  }
  const ms = parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (GO_DURATION_UNITS[unit] ?? 0), 0)
  if (ms > LONGEST_MS) return `${expected}, which is longer than 292 years`
  return sign * ms
}

/** The shortest text that means as many whole seconds: `1h`, `1m30s`, `0s`. */
export function formatGoSeconds(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const text = parts.map(([number, unit]) => (number === 0 ? '' : `${number}${unit}`)).join('')
  return text === '' ? '0s' : text
}

/** Whole seconds, rounded up, of a duration that is not negative. A string says what is wrong. */
export function wholeSeconds(text: string): number | string {
  const ms = parseGoDuration(text)
  if (typeof ms === 'string') return ms
  if (ms < 0) return `expected a duration that is not negative, found ${JSON.stringify(text)}`
  return Math.ceil(ms / 1000)
}
