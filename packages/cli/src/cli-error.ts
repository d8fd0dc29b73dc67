/** Exit codes, as sysexits.h has them where it has one, so that scripts can tell causes apart. */
export const EXIT_CODES = {
  failed: 1,
  usage: 64,
  'not-found': 66,
  'no-sandbox': 66,
  unavailable: 69,
  'not-permitted': 77,
  'timed-out': 124,
  'hung-up': 129,
  interrupted: 130,
  terminated: 143,
} as const

export type CliErrorCode = keyof typeof EXIT_CODES

/** What a command tells its user when it cannot go on: one sentence that names the next step. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly code: CliErrorCode
  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
