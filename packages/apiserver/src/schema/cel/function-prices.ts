/** What the functions of CEL cost by themselves, and how large what they give is, in the units of Kubernetes. */
import type { CallExpr, Expr } from './ast.ts'
import {
  add,
  multiply,
  networkCost,
  ONE,
  product,
  type Range,
  replaced,
  scale,
  UNBOUNDED,
  UNKNOWN,
  ZERO,
} from './cost-range.ts'
import type { Overload } from './functions.ts'
import type { Type } from './types.ts'

export interface Estimate {
  cost: Range
  result?: Range | undefined
}

/** What the elements of a list are, and how large. */
export interface Item {
  type: Type
  size: Range
}

/** How large the values of expressions can be. */
export interface Sizes {
  size(expr: Expr): Range
  /** Undefined where nothing is known of the elements. */
  itemOf(list: Expr): Item | undefined
}

/** The price of a function by itself; undefined for those whose price is one, or that of their parts. */
export function priceOf(expr: CallExpr, { id }: Overload, sizes: Sizes): Estimate | undefined {
  const target = expr.target && sizes.size(expr.target)
  const [a, b] = expr.args.map((arg) => sizes.size(arg))
  const read = (size: Range, times = 1): Range => scale(size, 0.1 * times)
  switch (expr.name) {
    case 'isSorted':
    case 'sum':
    case 'max':
    case 'min':
    case 'indexOf':
    case 'lastIndexOf':
      return target && { cost: scan(sizes.itemOf(expr.target as Expr), target) }
    case 'strings.quote':
      return a && { cost: read(a) }
    case 'url':
      return a && { cost: read(a), result: a }
    case 'lowerAscii':
    case 'upperAscii':
    case 'substring':
    case 'trim':
      return target && { cost: read(target), result: target }
    case 'replace':
      return target && a && b && { cost: read(target, 2), result: replaced(target, a, b) }
    case 'split':
      return target && { cost: read(target, 2), result: { min: 0, max: limitOf(expr.args[1]) ?? target.max } }
    case 'join':
      return target && join(sizes.itemOf(expr.target as Expr), target, a)
    case 'find':
    case 'findAll':
      return (
        target && a && { cost: multiply(read(add(target, ONE)), scale(a, 0.25)), result: { min: 0, max: target.max } }
      )
    case 'matches':
      if (!target || !a) return undefined
      return { cost: multiply(read(add(target, ONE)), scale(a, 0.25)) }
    case 'contains':
      return target && a && { cost: multiply(read(target), read(a)) }
    case 'startsWith':
    case 'endsWith':
    case 'quantity':
    case 'isQuantity':
    case 'semver':
    case 'isSemver':
    case 'cidr':
    case 'isIP':
    case 'isCIDR':
      return a && { cost: read(a) }
    case 'ip':
      return id === 'cidr_ip' ? { cost: ONE } : a && { cost: read(a) }
    case 'ip.isCanonical':
      return a && { cost: read(a, 2) }
    case 'containsIP':
    case 'containsCIDR':
      return { cost: networkCost(id, a ?? UNKNOWN) }
    case 'validate':
      return a && { cost: scale(read(a), 32) }
    case 'format':
      return target && { cost: read(target) }
    case '@in':
      return id === 'in_list' && b ? { cost: b } : undefined
    case 'sets.contains':
    case 'sets.intersects':
      return a && b && { cost: add(multiply(a, b), ONE) }
    case 'sets.equivalent':
      return a && b && { cost: add(scale(multiply(a, b), 2), ONE) }
    default:
      return conversionOrComparison(expr, id, a, b)
  }
}

function conversionOrComparison(
  expr: CallExpr,
  id: string,
  a: Range | undefined,
  b: Range | undefined,
): Estimate | undefined {
  if (id === 'string_to_bytes' && a) {
    return { cost: scale(a, 0.1), result: { min: a.min, max: product(a.max, 4) } }
  }
  if (id === 'bytes_to_string' && a) {
    return { cost: scale(a, 0.1), result: { min: Math.floor(a.min / 4), max: a.max } }
  }
  if (!/^(equals|not_equals)$|^(less|less_equals|greater|greater_equals)_(string|bytes)$/.test(id)) return undefined
  if (!a || !b) return undefined
  const { kind, name } = (expr.args[0] as Expr).type as Type
  if (id === 'equals' && (kind === 'struct' || kind === 'opaque') && /^(kubernetes\.|net\.)/.test(name)) {
    return { cost: name === 'kubernetes.NamedFormat' ? { min: 1, max: 7 } : ONE }
  }
  const smallest = Math.min(a.max, b.max)
  return { cost: scale({ min: smallest > 0 ? 1 : 0, max: smallest }, 0.1) }
}

/** One for each element, and reading it where it is text; or reading a text. */
function scan(item: Item | undefined, size: Range): Range {
  if (!item) return scale(size, 0.1)
  const text = item.type.kind === 'string' || item.type.kind === 'bytes'
  return multiply(size, text ? add(ONE, scale(item.size, 0.1)) : ONE)
}

function join(item: Item | undefined, size: Range, separator: Range | undefined): Estimate {
  let result = item ? multiply(size, item.size) : ZERO
  if (separator) {
    const between = { min: Math.max(0, size.min - 1), max: Math.max(0, size.max - 1) }
    result = add(result, multiply(separator, between))
  }
  return { cost: scale(result, 0.1), result }
}

function limitOf(arg: Expr | undefined): number | undefined {
  if (arg?.kind !== 'const' || typeof arg.value !== 'bigint') return undefined
  // Go reads a negative limit, which means none, as the largest number.
  return arg.value < 0n ? UNBOUNDED : Number(arg.value)
}
