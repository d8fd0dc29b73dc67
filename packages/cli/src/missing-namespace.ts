import { hasReason } from '@caisson/client'
import { CliError } from './cli-error.ts'

/** What to say where an object cannot be made because there is no such namespace; undefined where that is not why. */
export function missingNamespace(error: unknown, namespace: string): CliError | undefined {
  if (!hasReason(error, 'NotFound') || error.details?.kind !== 'namespaces') return undefined
  return new CliError(
    'not-found',
    `there is no namespace ${namespace}: 'kubectl create namespace ${namespace}' makes it`,
    { cause: error },
  )
}
