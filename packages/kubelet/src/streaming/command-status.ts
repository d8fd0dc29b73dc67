/** How a remote command ended, as the `Status` that goes over the error stream. */
import type { Status } from '@caisson/api'
import type { ExitStatus } from '@caisson/runtime'

/** What Kubernetes writes without a code: the command ran, and said itself how it ended. */
export function exitedStatus(exit: ExitStatus, args: readonly string[]): Status {
  if (exit.exitCode === 0) return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command [${args.join(' ')}], exit code ${exit.exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exit.exitCode) }] },
  }
}

/** `apierrors.NewInternalError`: the command could not be run at all. */
export function internalErrorStatus(message: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `Internal error occurred: ${message}`,
    reason: 'InternalError',
    details: { causes: [{ message }] },
    code: 500,
  }
}
