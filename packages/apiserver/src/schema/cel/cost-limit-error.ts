/** Nothing absorbs it: the expression has used up what it may cost. */
export class CostLimitError extends Error {
  override readonly name = 'CostLimitError'
  readonly code = 'cost-limit'
  constructor() {
    super('operation cancelled: actual cost limit exceeded')
  }
}
