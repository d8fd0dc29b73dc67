/**
 * `resource.Quantity`: exact numbers with SI or binary suffixes, such as `500m`, `1Gi`, `1e3`.
 *
 * Held as a whole number of nano-units, which is what Kubernetes rounds to. Source of the rules: apimachinery,
 * pkg/api/resource.
 */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

export interface Quantity {
  /** The value times 10^9. */
  readonly nano: bigint
  readonly format: QuantityFormat
}

const ONE = 1_000_000_000n
const THOUSANDTH = 1_000_000n
const MAXIMUM = ((1n << 63n) - 1n) * ONE

const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const BINARY: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n }
const DECIMAL_SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E']
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** No quantity that means anything is longer; a longer one would only cost time. */
const LONGEST = 256

export class QuantityError extends Error {
  override readonly name = 'QuantityError'
}

const FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

const QUANTITY = /^[+-]?(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/

/** @throws QuantityError in apimachinery's words. */
export function parseQuantity(text: string): Quantity {
  const match = text.length > LONGEST ? null : QUANTITY.exec(text)
  if (!match || text === '') throw new QuantityError(FORMAT_WRONG)
  const [, whole = '', fraction = '', suffix = ''] = match
  const scaled = interpretSuffix(suffix)
  // Without any digit (only a sign, a dot, a suffix) it is zero, as apimachinery reads it.
  const digits = BigInt(whole + fraction)
  let nano = ceilingShift(digits << scaled.shift, scaled.exponent - fraction.length + 9)
  let format = scaled.format
  if (format === 'BinarySI') {
    if (nano > MAXIMUM) nano = MAXIMUM
    if (nano > 0n && nano < ONE) format = 'DecimalSI'
  }
  return { nano: text.startsWith('-') ? -nano : nano, format }
}

function interpretSuffix(suffix: string): { shift: bigint; exponent: number; format: QuantityFormat } {
  if (Object.hasOwn(DECIMAL, suffix)) return { shift: 0n, exponent: DECIMAL[suffix] as number, format: 'DecimalSI' }
  if (Object.hasOwn(BINARY, suffix)) return { shift: BINARY[suffix] as bigint, exponent: 0, format: 'BinarySI' }
  const exponent = /^[eE]([-+]?\d+)$/.exec(suffix)?.[1]
  // An exponent beyond a hundred is no amount of anything, and would be a number of that many digits.
  if (exponent === undefined || Math.abs(Number(exponent)) > 100) {
    throw new QuantityError("unable to parse quantity's suffix")
  }
  return { shift: 0n, exponent: Number(exponent), format: 'DecimalExponent' }
}

/** `value` times ten to the power `exponent`, rounded away from zero. */
function ceilingShift(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent)
  const divisor = 10n ** BigInt(-exponent)
  return (value + divisor - 1n) / divisor
}

/** The one way in which a quantity is written: no fraction, the largest suffix that allows that. */
export function formatQuantity(quantity: Quantity): string {
  const { nano } = quantity
  if (nano === 0n) return '0'
  const magnitude = nano < 0n ? -nano : nano
  if (quantity.format === 'BinarySI' && magnitude >= 1024n * ONE && magnitude % ONE === 0n) {
    let [number, power] = [magnitude / ONE, 0]
    while (power < BINARY_SUFFIXES.length - 1 && number % 1024n === 0n) {
      number /= 1024n
      power++
    }
    return `${nano < 0n ? '-' : ''}${number}${BINARY_SUFFIXES[power]}`
  }
  let [number, power] = [magnitude, 0]
  const last = quantity.format === 'DecimalExponent' ? Number.POSITIVE_INFINITY : DECIMAL_SUFFIXES.length - 1
  while (power < last && number % 1000n === 0n) {
    number /= 1000n
    power++
  }
  const exponent = power * 3 - 9
  const suffix =
    quantity.format === 'DecimalExponent' ? (exponent === 0 ? '' : `e${exponent}`) : DECIMAL_SUFFIXES[power]
  return `${nano < 0n ? '-' : ''}${number}${suffix}`
}

/**
 * The form in which a quantity goes out again, where numbers are allowed to come in as well. One that needs no
 * conversion stays as it was written, `+5` and `1e+3` too, because Kubernetes keeps such a text.
 *
 * @throws QuantityError
 */
export function canonicalQuantity(value: string | number): string {
  const text = String(value).trim()
  // What most manifests hold: at most three digits, and a suffix that needs no carrying.
  if (/^[1-9]\d{0,2}(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(text)) return text
  const quantity = parseQuantity(text)
  return isKept(text) ? text : formatQuantity(quantity)
}

/** Numbers of so many digits fit an int64 with room to spare, which is what apimachinery keeps the text of. */
const MAX_FAST_DIGITS = 18

function isKept(text: string): boolean {
  const [, whole = '', fraction = '', suffix = ''] = QUANTITY.exec(text) ?? []
  const digits = (whole.replace(/^0+/, '') || '0') + fraction
  const { shift, exponent, format } = interpretSuffix(suffix)
  if (format === 'BinarySI') {
    const room = 14 - digits.length - Math.floor((Number(shift) * 3) / 10)
    return fraction === '' && room >= 0 && BigInt(digits) % 8n !== 0n
  }
  const scale = exponent - fraction.length
  if (digits.length > MAX_FAST_DIGITS || scale < -9 || scale % 3 !== 0) return false
  return !digits.endsWith('000') && !digits.startsWith('0')
}

/**
 * The same, rounded away from zero to thousandths: what Kubernetes makes of the amounts in resource lists.
 *
 * @throws QuantityError
 */
export function canonicalAmount(value: string | number): string {
  if (typeof value === 'string' && /^[1-9]\d{0,2}(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(value)) return value
  const canonical = canonicalQuantity(value)
  const { nano, format } = parseQuantity(canonical)
  const beyond = nano % THOUSANDTH
  if (beyond === 0n) return canonical
  return formatQuantity({ nano: nano - beyond + (nano < 0n ? -THOUSANDTH : THOUSANDTH), format })
}

/** Negative, zero or positive as a is less than, equal to or greater than b. */
export function compareQuantities(a: string | number, b: string | number): number {
  const difference = nanoOf(a) - nanoOf(b)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The value times 10^9; what sums and comparisons are made of. */
export function nanoOf(value: string | number): bigint {
  return parseQuantity(String(value)).nano
}
