import { findCondition, type Sandbox } from '@caisson/api'
import { type Listing, type ListOptions, listObjects } from '../list-objects.ts'
import { sandboxes } from '../sandboxes.ts'

const SANDBOXES: Listing<Sandbox> = {
  resource: sandboxes,
  plural: 'sandboxes',
  columns: { always: ['READY', 'REASON'], wide: ['IP', 'IMAGE', 'MESSAGE'] },
  row({ spec, status }) {
    const ready = findCondition(status?.conditions, 'Ready')
    return {
      cells: [ready?.status ?? 'Unknown', ready?.reason ?? ''],
      wide: [status?.podIPs?.[0] ?? '', spec.podTemplate.spec.containers[0]?.image ?? '', ready?.message ?? ''],
    }
  },
}

export async function ls(options: ListOptions): Promise<void> {
  await listObjects(SANDBOXES, options)
}
