/** What a container that could not be started waits for, by what went wrong. */
export type FailureKind = 'config' | 'start' | 'create'

/** Matched by code, not by class: errors cross packages. */
export function failureKind(error: unknown): FailureKind {
  switch ((error as { code?: unknown }).code) {
    case 'CONFIG':
    case 'user-not-found':
      return 'config'
    // The container was made, and its process could not be.
    case 'command-not-found':
      return 'start'
    default:
      return 'create'
  }
}
