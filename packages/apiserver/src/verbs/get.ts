/** GET of one object. */
import type { KubeObject } from '@caisson/api'
import { storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Answer, Call } from './call.ts'
import type { Environment } from './environment.ts'
import { notFound } from './errors.ts'
import { checkAvailable } from './resource-version.ts'
import { fromStorage, viewed } from './versions.ts'

export function get(call: Call, resource: Resource, { store }: Environment): Answer | Promise<Answer> {
  const { namespace, name } = call.info
  checkAvailable(call.query.resourceVersion, store)
  const stored = store.get(storageKey(resource), resource.namespaced ? namespace : undefined, name)
  if (!stored) throw notFound(resource, name)
  const answer = (body: KubeObject): Answer => ({ status: 200, body, resource })
  return resource.conversion ? viewed(resource, stored).then(answer) : answer(fromStorage(resource, stored))
}
