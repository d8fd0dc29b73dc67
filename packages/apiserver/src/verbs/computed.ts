/** Kinds that are computed when they are asked for, and never stored. */
import type { KubeList } from '@caisson/api'
import { groupVersion, resourceKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Answer, Call } from './call.ts'
import type { Environment } from './environment.ts'
import { methodNotServed, notFound } from './errors.ts'
import { listOptions } from './list-options.ts'

export async function readComputed(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const { verb, namespace, name } = call.info
  const compute = environment.computed[resourceKey(resource)]
  if (!compute || (verb !== 'get' && verb !== 'list')) throw methodNotServed()
  const { selection } = listOptions(call, resource, false)
  const objects = await compute(resource.namespaced && namespace !== '' ? namespace : undefined)
  if (verb === 'get') {
    const object = objects.find(({ metadata }) => metadata.name === name)
    if (!object) throw notFound(resource, name)
    return { status: 200, body: object, resource }
  }
  const items = objects.filter((object) => selection.matches(object))
  const body: KubeList = { kind: resource.listKind, apiVersion: groupVersion(resource), metadata: {}, items }
  return { status: 200, body, resource, list: true }
}
