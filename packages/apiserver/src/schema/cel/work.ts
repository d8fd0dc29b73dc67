/**
 * What an evaluation really takes, in about microseconds, where Kubernetes' prices do not tell: comparing deep values or
 * large texts costs next to nothing there, and much time where a rule does it for each pair of a list. It counts as cost
 * where it is more than the cost. Evaluations never interleave, so one counter serves all.
 */
import { CostLimitError } from './cost-limit-error.ts'

let spent = 0
let limit = Number.POSITIVE_INFINITY
let keys = new WeakMap<object, readonly string[]>()

export function beginEvaluation(allowed: number): void {
  spent = 0
  limit = allowed
  keys = new WeakMap()
}

export function spend(work: number): void {
  spent += work
  if (spent > limit) throw new CostLimitError()
}

/** What was spent. Until the next evaluation everything is free. */
export function endEvaluation(): number {
  limit = Number.POSITIVE_INFINITY
  return Math.ceil(spent)
}

/** A price for reading a text that only long ones notice. */
export function spendOnText(length: number): void {
  if (length > 1_000) spend(length / 500)
}

/** The keys of an object, which are listed once in an evaluation. */
export function keysOf(json: object): readonly string[] {
  let found = keys.get(json)
  if (!found) {
    found = Object.keys(json)
    spend(found.length * 0.1)
    keys.set(json, found)
  }
  return found
}
