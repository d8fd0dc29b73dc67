/** A volume cannot be set up as it is asked for, or not yet. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError'
  readonly code = 'VOLUME'
}
