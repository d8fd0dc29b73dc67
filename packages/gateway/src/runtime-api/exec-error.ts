/** A command that cannot be run, with a code that says what to make of it. */
export class ExecError extends Error {
  override readonly name = 'ExecError'
  readonly code: 'no-shell' | 'refused' | 'too-large' | 'busy' | 'failed'
  constructor(code: ExecError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
