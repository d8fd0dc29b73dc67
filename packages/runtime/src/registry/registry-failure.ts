import { RuntimeError, type RuntimeErrorCode } from '../runtime-error.ts'

interface TransientFailureOptions extends ErrorOptions {
  retryAfterMs?: number | undefined
  answered: boolean
  detail?: string
}

/** A failure that may pass: worth another try. */
export class TransientFailure extends Error {
  override readonly name = 'TransientFailure'
  /** What the server asks to wait, ms. */
  readonly retryAfterMs: number | undefined
  /** False where nothing has answered at all. */
  readonly answered: boolean
  /** What the message keeps from whoever asked. */
  readonly detail: string | undefined
  constructor(message: string, options: TransientFailureOptions) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
    this.answered = options.answered
    this.detail = options.detail
  }
}

/** What an administrator should know of a failed pull, and its message keeps back; undefined where that says all. */
export function hiddenDetail(error: unknown): string | undefined {
  const cause = error instanceof RuntimeError ? error.cause : error
  return cause instanceof TransientFailure ? cause.detail : undefined
}

/** What a registry said can be believed only so far. */
export function lie(message: string): RuntimeError {
  return new RuntimeError('bad-image', message)
}

export function registryError(code: RuntimeErrorCode, message: string, cause?: unknown): RuntimeError {
  return new RuntimeError(code, message, cause === undefined ? {} : { cause })
}
