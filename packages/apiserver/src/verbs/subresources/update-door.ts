/** A door through which a part of an object is read and written, by rules of its own. */
import type { Resource } from '../../registry/resource.ts'
import type { Subresource } from '../environment.ts'
import { get } from '../get.ts'
import { patch } from '../patch.ts'
import { update } from '../update.ts'
import type { UpdateRules } from '../update-rules.ts'

/** @param rulesOf what a write may change of an object of the kind */
export function updateDoor(name: string, kind: string, rulesOf: (resource: Resource) => UpdateRules): Subresource {
  return {
    name,
    kind,
    verbs: ['get', 'patch', 'update'],
    handle(call, resource, environment) {
      if (call.info.verb === 'get') return get(call, resource, environment)
      const write = call.info.verb === 'update' ? update : patch
      return write(call, resource, environment, rulesOf(resource))
    },
  }
}
