import { findCondition, SANDBOX_CONDITIONS, type Sandbox } from '@caisson/api'
import { type Listing, type ListOptions, listObjects } from '../list-objects.ts'
import { sandboxes } from '../sandboxes.ts'

const SANDBOXES: Listing<Sandbox> = {
  resource: sandboxes,
  plural: 'sandboxes',
  ofThisMachine: true,
  columns: { always: ['READY', 'REASON'], wide: ['IP', 'IMAGE', 'MESSAGE'] },
  row({ spec, status }) {
    const ready = findCondition(status?.conditions, 'Ready')
    // Of a Pod that has failed the other says no more than that.
    const error = findCondition(status?.conditions, SANDBOX_CONDITIONS.containerError)
    return {
      cells: [ready?.status ?? 'Unknown', ready?.reason ?? ''],
      wide: [
        status?.podIPs?.[0] ?? '',
        spec.podTemplate.spec.containers[0]?.image ?? '',
        error?.message ?? ready?.message ?? '',
      ],
    }
  },
}

export async function ls(options: ListOptions): Promise<void> {
  await listObjects(SANDBOXES, options)
}
