/** Decimals of doubles by their exact value, rounded half to even as Go does it (JavaScript rounds halves up). */

export function fixedPoint(value: number, digits: number): string {
  const [mantissa, exponent] = binary(Math.abs(value))
  const scaled = mantissa * 10n ** BigInt(digits)
  const whole = exponent >= 0 ? scaled << BigInt(exponent) : roundedShift(scaled, BigInt(-exponent))
  const text = String(whole).padStart(digits + 1, '0')
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const point = text.length - digits
  return digits === 0 ? sign + text : `${sign}${text.slice(0, point)}.${text.slice(point)}`
}

/** The value as mantissa times a power of two. */
function binary(value: number): [mantissa: bigint, exponent: number] {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0] as bigint
  const exponent = Number((bits >> 52n) & 0x7ffn)
  const fraction = bits & 0xf_ffff_ffff_ffffn
  return exponent === 0 ? [fraction, -1074] : [fraction | (1n << 52n), exponent - 1075]
}

function roundedShift(value: bigint, by: bigint): bigint {
  const whole = value >> by
  const rest = value - (whole << by)
  const half = 1n << (by - 1n)
  return rest > half || (rest === half && whole % 2n === 1n) ? whole + 1n : whole
}

/** With a comma before each three digits of the integer part. */
export function grouped(text: string): string {
  const [whole, fraction] = text.split('.') as [string, string | undefined]
  let commas = whole
  const digits = whole.startsWith('-') ? 1 : 0
  for (let at = whole.length - 3; at > digits; at -= 3) commas = `${commas.slice(0, at)},${commas.slice(at)}`
  return fraction === undefined ? commas : `${commas}.${fraction}`
}

const SUPERSCRIPT = '⁰¹²³⁴⁵⁶⁷⁸⁹'

/** `1.052033×10⁰³`, always with six decimals. */
export function scientific(value: number): string {
  const [digits, exponent] = value.toExponential(6).split('e') as [string, string]
  const power = exponent.slice(1).padStart(2, '0')
  const raised = power.replace(/\d/g, (digit) => SUPERSCRIPT[Number(digit)] as string)
  return `${digits}×10${exponent.startsWith('-') ? '⁻' : ''}${raised}`
}
