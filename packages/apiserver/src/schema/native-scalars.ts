/** Times and base64 as Go's standard library reads and writes them. */

export class TimeError extends Error {
  override readonly name = 'TimeError'
}

interface LayoutElement {
  /** As the element stands in Go's layout. */
  layout: string
  pattern: RegExp
}

const SECONDS: readonly LayoutElement[] = [
  { layout: '2006', pattern: /^\d{4}/ },
  { layout: '-', pattern: /^-/ },
  { layout: '01', pattern: /^\d{2}/ },
  { layout: '-', pattern: /^-/ },
  { layout: '02', pattern: /^\d{2}/ },
  { layout: 'T', pattern: /^T/ },
  { layout: '15', pattern: /^\d{2}/ },
  { layout: ':', pattern: /^:/ },
  { layout: '04', pattern: /^\d{2}/ },
  { layout: ':', pattern: /^:/ },
  // A fraction after the seconds is read although the layout has none.
  { layout: '05', pattern: /^\d{2}(?:[.,]\d+)?/ },
]
const ZONE: LayoutElement = { layout: 'Z07:00', pattern: /^(?:Z|[+-]\d{2}:\d{2})/ }
const RFC3339 = [...SECONDS, ZONE]
const RFC3339_MICRO = [
  ...SECONDS.slice(0, -1),
  { layout: '05', pattern: /^\d{2}/ },
  { layout: '.000000', pattern: /^[.,]\d{6}/ },
  ZONE,
]

/** Days that every year has: the 29th of February is looked at closer. */
const CANONICAL =
  /^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/

/** `metav1.Time`: UTC, whole seconds. @throws TimeError in the words of Go's `time.Parse`. */
export function canonicalTime(value: string): string {
  if (CANONICAL.test(value)) return value
  const milliseconds = parseTime(value, RFC3339, '2006-01-02T15:04:05Z07:00')
  return `${new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().slice(0, 19)}Z`
}

/** `metav1.MicroTime`: UTC, six digits of a second. @throws TimeError */
export function canonicalMicroTime(value: string): string {
  const milliseconds = parseTime(value, RFC3339_MICRO, '2006-01-02T15:04:05.000000Z07:00')
  const micros = /[.,](\d{6})/.exec(value)?.[1] ?? '000000'
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${micros}Z`
}

function parseTime(value: string, elements: readonly LayoutElement[], layout: string): number {
  let rest = value
  for (const element of elements) {
    const match = element.pattern.exec(rest)
    if (!match) {
      throw new TimeError(
        `parsing time ${quoted(value)} as "${layout}": cannot parse ${quoted(rest)} as "${element.layout}"`,
      )
    }
    rest = rest.slice(match[0].length)
  }
  if (rest) throw new TimeError(`parsing time ${quoted(value)}: extra text: ${quoted(rest)}`)
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (value.slice(0, 19).match(/\d+/g) ?? []).map(
    Number,
  )
  const outOfRange =
    month < 1 || month > 12
      ? 'month'
      : day < 1 || day > new Date(Date.UTC(year, month, 0)).getUTCDate()
        ? 'day'
        : hour > 23
          ? 'hour'
          : minute > 59
            ? 'minute'
            : second > 59
              ? 'second'
              : undefined
  if (outOfRange) throw new TimeError(`parsing time ${quoted(value)}: ${outOfRange} out of range`)
  const milliseconds = Date.parse(value.replace(',', '.'))
  if (Number.isNaN(milliseconds)) {
    throw new TimeError(`parsing time ${quoted(value)}: time zone offset hour out of range`)
  }
  return milliseconds
}

function quoted(text: string): string {
  return JSON.stringify(text)
}

/** What Go's strict standard base64 decoder says of a value; undefined where it is well formed. */
export function base64Error(value: string): string | undefined {
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)) return undefined
  let inGroup = 0
  for (let at = 0; at < value.length; at++) {
    const character = value[at] as string
    if (character === '\r' || character === '\n') continue
    if (/[A-Za-z0-9+/]/.test(character)) {
      inGroup = (inGroup + 1) % 4
      continue
    }
    if (character !== '=' || inGroup < 2) return `illegal base64 data at input byte ${at}`
    const rest = value.slice(at).replace(/[\r\n]/g, '')
    const padding = 4 - inGroup
    if (rest === '='.repeat(padding)) return undefined
    const short = rest.length < padding && /^=*$/.test(rest)
    return `illegal base64 data at input byte ${short ? value.length : at + (rest[1] === '=' || padding === 1 ? padding : 1)}`
  }
  return inGroup === 0 ? undefined : `illegal base64 data at input byte ${value.length - inGroup}`
}
