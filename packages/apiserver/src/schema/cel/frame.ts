/** The state of one evaluation: its variables, and what it has cost so far in the units of Kubernetes. */
import { CostLimitError } from './cost-limit-error.ts'
import type { Value } from './values.ts'

/** What no single evaluation may put into new lists: the price of joining lists does not depend on their length. */
const MAXIMUM_ALLOCATED = 1_000_000

export class Frame {
  readonly slots: Array<Value | Error>
  readonly limit: number
  cost = 0
  #allocated = 0

  constructor(slots: Array<Value | Error>, limit: number) {
    this.slots = slots
    this.limit = limit
  }

  charge(cost: number): void {
    this.cost += cost
    if (this.cost > this.limit) throw new CostLimitError()
  }

  allocate(items: number): void {
    this.#allocated += items
    if (this.#allocated > MAXIMUM_ALLOCATED) throw new CostLimitError()
  }
}
