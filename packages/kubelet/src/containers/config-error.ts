/** Something that the Pod's configuration asks for is missing or wrong: the container waits with CreateContainerConfigError. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG'
}
