/** Compiles CEL expressions and runs them within a budget. */
import { formatIssues, type Issue } from './ast.ts'
import { check } from './check.ts'
import { estimateCost } from './cost-estimate.ts'
import { CostLimitError } from './cost-limit-error.ts'
import { type Plan, plan } from './evaluate.ts'
import { Frame } from './frame.ts'
import { literalIssues } from './literals.ts'
import { parse } from './parse.ts'
import type { Declaration } from './schema-types.ts'
import { optionalOf, type Type } from './types.ts'
import { EvaluationError, type Value } from './values.ts'
import { beginEvaluation, endEvaluation } from './work.ts'

/** What one evaluation may cost: about a tenth of a second. */
export const CALL_LIMIT = 1_000_000

export interface Program {
  type: Type
  usesOldSelf: boolean
  /** What it can cost at most, by the bounds of the schema. */
  estimate(): number
  run(variables: Variables, limit?: number): Outcome
}

export interface Variables {
  /** Failures are values: a rule fails by them only where it needs them. */
  self: Value | EvaluationError
  /** Undefined where the rule does not refer to it. */
  oldSelf?: Value | EvaluationError | undefined
}

export type Outcome = { cost: number; value: Value } | { cost: number; error: string; overLimit: boolean }

export interface CompileOptions {
  self: Declaration
  /** Whether `oldSelf` is an optional, as rules with `optionalOldSelf` see it. */
  optionalOldSelf?: boolean
}

export interface CompileError {
  /** As kube-apiserver prints it. */
  error: string
}

export function compile(source: string, { self, optionalOldSelf = false }: CompileOptions): Program | CompileError {
  const parsed = parse(source)
  if ('issues' in parsed) return failed(source, parsed.issues)
  const { expr } = parsed
  const oldSelf = optionalOldSelf ? optionalOf(self.type) : self.type
  const checked = check(
    expr,
    new Map([
      ['self', self.type],
      ['oldSelf', oldSelf],
    ]),
  )
  if ('issues' in checked) return failed(source, checked.issues)
  const issues = literalIssues(expr)
  if (issues.length > 0) return failed(source, issues)
  let planned: Plan
  try {
    planned = plan(expr, ['self', 'oldSelf'])
  } catch (error) {
    if (error instanceof EvaluationError) return { error: `instantiation failed: ${error.message}` }
    throw error
  }
  const { evaluate, slots } = planned
  const usesOldSelf = checked.references.has('oldSelf')
  return {
    type: checked.type,
    usesOldSelf,
    estimate: () => estimateCost(expr, self),
    run(variables, limit = CALL_LIMIT) {
      const values: Array<Value | Error> = Array.from({ length: slots }, () => null)
      values[0] = variables.self
      // An error has a stack, which costs more than most rules.
      values[1] = variables.oldSelf ?? (usesOldSelf ? new EvaluationError('no such attribute(s): oldSelf') : null)
      return execute(evaluate, new Frame(values, limit))
    },
  }
}

/** An expression over any variables: of admission policies and match conditions. */
export interface Expression {
  type: Type
  /** @param values by name; failures are values */
  run(values: ReadonlyMap<string, Value | EvaluationError>, limit?: number): Outcome
}

export function compileExpression(source: string, variables: ReadonlyMap<string, Type>): Expression | CompileError {
  const parsed = parse(source)
  if ('issues' in parsed) return failed(source, parsed.issues)
  const { expr } = parsed
  const checked = check(expr, new Map(variables))
  if ('issues' in checked) return failed(source, checked.issues)
  const issues = literalIssues(expr)
  if (issues.length > 0) return failed(source, issues)
  const names = [...variables.keys()]
  let planned: Plan
  try {
    planned = plan(expr, names)
  } catch (error) {
    if (error instanceof EvaluationError) return { error: `instantiation failed: ${error.message}` }
    throw error
  }
  const { evaluate, slots } = planned
  return {
    type: checked.type,
    run(given, limit = CALL_LIMIT) {
      const values: Array<Value | Error> = Array.from({ length: slots }, () => null)
      names.forEach((name, slot) => {
        values[slot] = given.get(name) ?? null
      })
      return execute(evaluate, new Frame(values, limit))
    },
  }
}

function failed(source: string, issues: readonly Issue[]): CompileError {
  return { error: `compilation failed: ${formatIssues(source, issues)}` }
}

function execute(evaluate: (frame: Frame) => Value, frame: Frame): Outcome {
  beginEvaluation(frame.limit)
  try {
    const value = evaluate(frame)
    return { value, cost: costOf(frame) }
  } catch (error) {
    if (error instanceof EvaluationError) return { error: error.message, cost: costOf(frame), overLimit: false }
    // The stack has an end: whatever nests so deeply is as good as too expensive. So is a text beyond half a gigabyte.
    if (error instanceof CostLimitError || error instanceof RangeError) {
      return { error: new CostLimitError().message, cost: costOf(frame), overLimit: true }
    }
    throw error
  }
}

function costOf({ cost }: Frame): number {
  return Math.max(cost, endEvaluation())
}
