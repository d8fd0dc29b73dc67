/** `status`: the same object, of which a write changes the status alone. */
import type { Resource } from '../../registry/resource.ts'
import type { Subresource } from '../environment.ts'
import { get } from '../get.ts'
import { patch } from '../patch.ts'
import { update } from '../update.ts'
import { statusRules } from '../update-rules.ts'

export function statusOf(resource: Resource): Subresource {
  return {
    name: 'status',
    kind: resource.kind,
    verbs: ['get', 'patch', 'update'],
    handle(call, of, environment) {
      if (call.info.verb === 'get') return get(call, of, environment)
      const write = call.info.verb === 'update' ? update : patch
      return write(call, of, environment, statusRules(of))
    },
  }
}
