/** How `kubectl get` shows what CSI drivers leave at the API server. */
import type { Column } from '../registry/resource.ts'
import { AGE, column, list, loose, NAME, text } from './builtin-columns.ts'

function flag(name: string, field: string): Column {
  return { ...column(name, (driver) => (loose(driver)['spec']?.[field] as unknown) === true), type: 'boolean' }
}

export const csiDriverColumns: readonly Column[] = [
  NAME,
  flag('AttachRequired', 'attachRequired'),
  flag('PodInfoOnMount', 'podInfoOnMount'),
  flag('StorageCapacity', 'storageCapacity'),
  column('TokenRequests', (driver) => {
    const requests = list(loose(driver)['spec']?.['tokenRequests'])
    return requests.map(({ audience }) => text(audience)).join(',') || '<unset>'
  }),
  flag('RequiresRepublish', 'requiresRepublish'),
  column('Modes', (driver) => {
    const modes = (loose(driver)['spec']?.['volumeLifecycleModes'] ?? []) as unknown as string[]
    return modes.join(',') || '<none>'
  }),
  AGE,
]

export const csiNodeColumns: readonly Column[] = [
  NAME,
  { ...column('Drivers', (node) => list(loose(node)['spec']?.['drivers']).length), type: 'integer' },
  AGE,
]

export const csiStorageCapacityColumns: readonly Column[] = [
  NAME,
  column('StorageClassName', (capacity) => text(loose(capacity)['storageClassName'])),
  column('Capacity', (capacity) => text(loose(capacity)['capacity'], '<unset>')),
]

export const volumeAttachmentColumns: readonly Column[] = [
  NAME,
  column('Attacher', (attachment) => text(loose(attachment)['spec']?.['attacher']), { format: 'name' }),
  column('PV', (attachment) => text(loose(attachment)['spec']?.['source']?.['persistentVolumeName'])),
  column('Node', (attachment) => text(loose(attachment)['spec']?.['nodeName'])),
  {
    ...column('Attached', (attachment) => (loose(attachment)['status']?.['attached'] as unknown) === true),
    type: 'boolean',
  },
  AGE,
]
