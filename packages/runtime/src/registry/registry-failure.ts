import { RuntimeError, type RuntimeErrorCode } from '../runtime.ts'

/** A failure that may pass: worth another try. */
export class TransientFailure extends Error {
  override readonly name = 'TransientFailure'
  /** What the server asks to wait, ms. */
  readonly retryAfterMs: number | undefined
  /** False where nothing has answered at all. */
  readonly answered: boolean
  constructor(message: string, options: ErrorOptions & { retryAfterMs?: number | undefined; answered: boolean }) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
    this.answered = options.answered
  }
}

/** What a registry said can be believed only so far. */
export function lie(message: string): RuntimeError {
  return new RuntimeError('bad-image', message)
}

export function registryError(code: RuntimeErrorCode, message: string, cause?: unknown): RuntimeError {
  return new RuntimeError(code, message, cause === undefined ? {} : { cause })
}
