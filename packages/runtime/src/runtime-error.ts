export type RuntimeErrorCode =
  | 'runtime-missing'
  | 'image-missing'
  | 'command-not-found'
  | 'user-not-found'
  | 'bad-archive'
  /** What a registry gave is not what it should be. */
  | 'bad-image'
  /** A name that no image can have. */
  | 'invalid-name'
  /** Nothing answers there. */
  | 'registry-unreachable'
  /** It answers, and cannot serve. */
  | 'registry-unavailable'
  | 'registry-denied'
  /** Its address is one that this machine does not pull from. */
  | 'registry-out-of-reach'
  /** It is, or leads to, where no pull may go. */
  | 'registry-refused'
  | 'not-found'
  | 'already-exists'
  | 'network'
  | 'disk-full'
  /** Made by another version, on another machine, or of something that cannot be kept. */
  | 'snapshot-incompatible'
  /** Files are missing or are not what was written. */
  | 'snapshot-damaged'
  /** This machine cannot give sandboxes a network. */
  | 'network-missing'
  | 'failed'

/** Messages say what was expected, what was found, and what to do. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: RuntimeErrorCode
  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
