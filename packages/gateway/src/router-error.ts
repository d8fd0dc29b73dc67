/** What the router answers a request with that it does not carry anywhere. */
export class RouterError extends Error {
  override readonly name = 'RouterError'
  readonly code = 'ROUTER'
  /** HTTP's. */
  readonly status: number
  constructor(status: number, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.status = status
  }
}

/** No such sandbox, or nobody listens in it. */
export function cannotConnect(id: string, cause?: unknown): RouterError {
  return new RouterError(502, `Could not connect to the backend sandbox: ${id}`, { cause })
}
