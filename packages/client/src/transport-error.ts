/** Why no answer came. */
export type TransportErrorCode =
  /** No connection: refused, no route, no such host, or it took too long. The request was not processed. */
  | 'unreachable'
  /** The server's certificate is not what was expected, or ours was refused. The request was not processed. */
  | 'untrusted'
  /** Nothing to authenticate with: a token file or a credential plugin failed. The request was not processed. */
  | 'credentials'
  /** The transport was disposed. */
  | 'closed'
  /** The connection broke after the request was sent: it may have been processed. */
  | 'lost'
  /** The connection stands but nothing came for too long; the request may have been processed. */
  | 'silent'
  /** The answer is larger than is accepted. */
  | 'too-large'
  /** The answer is not HTTP, not JSON, or not of the form that was asked for. */
  | 'malformed'
  /** The server sent us somewhere else: credentials do not follow. */
  | 'redirected'

/** No answer came, or none that can be used. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code: TransportErrorCode

  constructor(code: TransportErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** True for a `TransportError` with one of `codes`; with any where none is named. */
export function isTransportError<C extends TransportErrorCode = TransportErrorCode>(
  error: unknown,
  ...codes: readonly C[]
): error is TransportError & { code: C } {
  if (!(error instanceof Error) || error.name !== 'TransportError') return false
  return codes.length === 0 || (codes as readonly string[]).includes((error as TransportError).code)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
