export type SpdyErrorCode = 'protocol' | 'too-large' | 'peer-gone' | 'reset' | 'idle' | 'closed'

/** Why a SPDY connection or one of its streams ended other than by both sides finishing. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError'
  readonly code: SpdyErrorCode
  constructor(code: SpdyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
