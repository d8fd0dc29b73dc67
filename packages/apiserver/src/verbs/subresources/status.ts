/** `status`: the same object, of which a write changes the status alone. */
import type { Resource } from '../../registry/resource.ts'
import type { Subresource } from '../environment.ts'
import { statusRules } from '../update-rules.ts'
import { updateDoor } from './update-door.ts'

export function statusOf({ kind }: Resource): Subresource {
  return updateDoor('status', kind, statusRules)
}
