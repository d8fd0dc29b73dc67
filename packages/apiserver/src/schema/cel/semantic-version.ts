/** Semantic versions 2.0.0, strict, or with the parts that people leave out. */
import { EvaluationError, OpaqueValue } from './values.ts'

export class SemanticVersion extends OpaqueValue {
  override readonly typeName = 'kubernetes.Semver'
  readonly numbers: readonly [bigint, bigint, bigint]
  readonly pre: readonly string[]
  constructor(numbers: readonly [bigint, bigint, bigint], pre: readonly string[]) {
    super()
    this.numbers = numbers
    this.pre = pre
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof SemanticVersion && this.compare(other) === 0
  }
  /** Precedence; build metadata does not count. */
  compare(other: SemanticVersion): number {
    for (const [index, number] of this.numbers.entries()) {
      const theirs = other.numbers[index] as bigint
      if (number !== theirs) return number < theirs ? -1 : 1
    }
    if (this.pre.length === 0 || other.pre.length === 0) return Math.sign(other.pre.length - this.pre.length)
    for (let index = 0; index < Math.max(this.pre.length, other.pre.length); index++) {
      const order = compareParts(this.pre[index], other.pre[index])
      if (order !== 0) return order
    }
    return 0
  }
}

function compareParts(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0
  if (a === undefined) return -1
  if (b === undefined) return 1
  const [aNumber, bNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (aNumber && bNumber) return BigInt(a) < BigInt(b) ? -1 : 1
  if (aNumber !== bNumber) return aNumber ? -1 : 1
  return a < b ? -1 : 1
}

const VERSION =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$/

/** @param normalize accepts a leading `v`, missing parts and leading zeros */
export function parseVersion(text: string, normalize: boolean): SemanticVersion {
  const found = text.length > 1_000 ? null : VERSION.exec(normalize ? normalized(text) : text)
  if (!found) throw new EvaluationError(text === '' ? 'Version string empty' : 'No Major.Minor.Patch elements found')
  const [, major, minor, patch, pre] = found
  const numbers = [major, minor, patch].map((part) => BigInt(part as string)) as [bigint, bigint, bigint]
  if (numbers.some((number) => number > 0xffff_ffff_ffff_ffffn)) throw new EvaluationError('value out of range')
  return new SemanticVersion(numbers, pre === undefined ? [] : pre.split('.'))
}

function normalized(text: string): string {
  const [core = '', ...rest] = text.replace(/^v/, '').split(/(?=[-+])/)
  const parts = core.split('.').map((part) => part.replace(/^0+(?=\d)/, ''))
  while (parts.length < 3) parts.push('0')
  return [parts.join('.'), ...rest].join('')
}
