/** CEL expressions after parsing: macros are expanded, and the checker has written types and overloads beside them. */
import type { Overload } from './functions.ts'
import type { Type } from './types.ts'
import type { Value } from './values.ts'

interface Node {
  /** Offset of the token that stands for the expression: an operator, a dot, an opening parenthesis. */
  pos: number
  type?: Type
}

export type Expr = Const | Ident | Select | CallExpr | ListExpr | MapExpr | Fold

export interface Const extends Node {
  kind: 'const'
  value: Value
}

export interface Ident extends Node {
  kind: 'ident'
  name: string
  /** Set where the name is that of a type. */
  value?: Value
}

export interface Select extends Node {
  kind: 'select'
  operand: Expr
  field: string
  /** `has(a.b)`. */
  test: boolean
}

export interface CallExpr extends Node {
  kind: 'call'
  name: string
  target: Expr | undefined
  args: Expr[]
  overloads?: readonly Overload[]
}

export interface ListExpr extends Node {
  kind: 'list'
  items: Expr[]
}

export interface MapExpr extends Node {
  kind: 'map'
  entries: Array<[key: Expr, value: Expr]>
}

/** Every macro that iterates: while `condition` holds for the accumulator, `step` makes the next one from each element. */
export interface Fold extends Node {
  kind: 'fold'
  range: Expr
  iterVar: string
  /** With it, `iterVar` is the index or key and this one the element or value. */
  iterVar2: string | undefined
  accuVar: string
  init: Expr
  condition: Expr
  step: Expr
  result: Expr
}

/** One thing that is wrong with an expression. */
export interface Issue {
  pos: number
  message: string
}

/** As cel-go prints what is wrong: with the line, and a mark below the place. */
export function formatIssues(source: string, issues: readonly Issue[]): string {
  return [...issues]
    .sort((a, b) => a.pos - b.pos)
    .map(({ pos, message }) => {
      const before = source.slice(0, pos).split('\n')
      const line = source.split('\n')[before.length - 1] as string
      const column = (before.at(-1) as string).length
      return `ERROR: <input>:${before.length}:${column + 1}: ${message}\n | ${line}\n | ${'.'.repeat(column)}^`
    })
    .join('\n')
}
