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

/** A connection to the sandbox that ended before there was an answer, for `cause`. */
export function brokenConnection(id: string, cause: unknown): RouterError {
  if (cause instanceof RouterError) return cause
  return new RouterError(502, `The connection to the backend sandbox broke: ${id}`, { cause })
}
