/** Literals that can never be read, and arguments that a literal format cannot print, are found before anything runs. */
import { compilePattern, PatternError } from '../pattern.ts'
import type { CallExpr, Expr, Issue, ListExpr } from './ast.ts'
import { partsOf } from './check.ts'
import { type Clause, formatParts, refusal, type Verb } from './string-format.ts'
import { parseDuration, parseTimestamp } from './time.ts'
import type { Kind, Type } from './types.ts'
import { EvaluationError } from './values.ts'

interface Literal {
  /** Which argument. */
  at: number
  valid(text: string): boolean
}

const LITERALS: ReadonlyMap<string, Literal> = new Map([
  ['duration', { at: 0, valid: (text) => parseDuration(text) !== undefined }],
  ['timestamp', { at: 0, valid: (text) => parseTimestamp(text) !== undefined }],
  ['matches', { at: -1, valid: isPattern }],
])

function isPattern(text: string): boolean {
  try {
    compilePattern(text)
    return true
  } catch (error) {
    if (error instanceof PatternError) return false
    throw error
  }
}

/** Of an expression that has been checked. */
export function literalIssues(expr: Expr): Issue[] {
  const issues: Issue[] = []
  visit(expr, issues)
  return issues
}

function visit(expr: Expr, issues: Issue[]): void {
  if (expr.kind === 'call') {
    const literal = LITERALS.get(expr.name)
    const arg = literal && expr.args.at(literal.at)
    if (arg?.kind === 'const' && typeof arg.value === 'string' && !literal?.valid(arg.value)) {
      issues.push({ pos: arg.pos, message: `invalid ${expr.name} argument` })
    }
    if (expr.name === 'format') checkFormat(expr, issues)
  }
  for (const part of partsOf(expr)) visit(part, issues)
}

function checkFormat({ pos, target, args }: CallExpr, issues: Issue[]): void {
  const [list] = args
  if (target?.kind !== 'const' || typeof target.value !== 'string' || list?.kind !== 'list') return
  try {
    const given = list.items.length
    let expected = 0
    for (const part of formatParts(target.value, given)) {
      if (typeof part === 'string') continue
      expected++
      const wrong = unprintable(part, list)
      if (!wrong) continue
      issues.push({ pos: wrong.pos, message: refusal(part.verb, nameOf(wrong.type as Type)) })
      return
    }
    if (given > expected) {
      const message = `too many arguments supplied to string.format (expected ${expected}, got ${given})`
      issues.push({ pos, message })
    }
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    issues.push({ pos, message: error.message })
  }
}

const NUMBERS: readonly Kind[] = ['int', 'uint']
const KINDS: Readonly<Record<Verb, readonly Kind[]>> = {
  s: [...NUMBERS, 'double', 'bool', 'string', 'bytes', 'timestamp', 'duration', 'list', 'map', 'type', 'null'],
  d: NUMBERS,
  f: ['double', 'string'],
  e: ['double', 'string'],
  b: [...NUMBERS, 'bool'],
  o: NUMBERS,
  x: [...NUMBERS, 'string', 'bytes'],
  X: [...NUMBERS, 'string', 'bytes'],
}

/** The part of an argument that the clause has no text for. */
function unprintable({ verb, index }: Clause, list: ListExpr): Expr | undefined {
  return firstOther(list.items[index] as Expr, KINDS[verb], verb === 's')
}

function firstOther(expr: Expr, kinds: readonly Kind[], deep: boolean): Expr | undefined {
  const { kind } = expr.type as Type
  if (kind !== 'dyn' && !kinds.includes(kind)) return expr
  if (!deep || (expr.kind !== 'list' && expr.kind !== 'map')) return undefined
  for (const part of partsOf(expr)) {
    const other = firstOther(part, kinds, deep)
    if (other) return other
  }
  return undefined
}

const NAMES: Partial<Record<Kind, string>> = {
  timestamp: 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
  null: 'null_type',
}

function nameOf({ kind, name }: Type): string {
  return NAMES[kind] ?? name
}
