import type { WriteContext } from '../patch/managed-fields.ts'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Environment } from './environment.ts'
import type { WriteOptions } from './options.ts'

/** Who writes, for managedFields. */
export function writeContext(
  resource: Resource,
  subresource: string,
  options: WriteOptions,
  environment: Environment,
): WriteContext {
  return {
    manager: options.fieldManager,
    apiVersion: groupVersion(resource),
    subresource,
    schema: resource.schema,
    builtin: !resource.custom,
    statusSubresource: resource.status,
    now: environment.now(),
  }
}
