/** The subresources of a kind: what discovery lists and what the server answers below an object's path. */
import type { Resource, Verb } from './resource.ts'

export interface Subresource {
  name: string
  kind: string
  /** Of the kind, where they are not those of the resource itself. */
  group?: string
  version?: string
  verbs: readonly Verb[]
}

const STATUS_VERBS: readonly Verb[] = ['get', 'patch', 'update']

export function subresourcesOf(resource: Resource): readonly Subresource[] {
  const found: Subresource[] = []
  if (resource.status) found.push({ name: 'status', kind: resource.kind, verbs: STATUS_VERBS })
  if (resource.scale)
    found.push({ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS_VERBS })
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}
