/** Events are one kind that is served in two groups, and stored as the core group has them. */
import type { KubeObject } from '@caisson/api'
import { eventColumns } from '../../table/builtin-columns.ts'
import { coreEventStrategy, eventsGroupStrategy, fromEventsGroup, toEventsGroup } from './event.ts'
import type { Kind } from './kind.ts'
import { field, fields } from './select-fields.ts'

const eventFields = {
  ...fields(
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'type',
  ),
  // The newer field stands in for the older one.
  source: (event: KubeObject) => field('source.component')(event) || field('reportingComponent')(event),
}

export const coreEventKind: Kind = {
  definitions: 'io.k8s.api.core.v1',
  kind: 'Event',
  plural: 'events',
  shortNames: ['ev'],
  namespaced: true,
  columns: eventColumns,
  strategy: coreEventStrategy,
  anyFinalizer: true,
  selectableFields: eventFields,
}

export const eventsGroupKind: Kind = {
  definitions: 'io.k8s.api.events.v1',
  group: 'events.k8s.io',
  kind: 'Event',
  plural: 'events',
  shortNames: ['ev'],
  namespaced: true,
  columns: eventColumns.map((column) => ({
    ...column,
    cell: (event: KubeObject, now: number) => column.cell(fromEventsGroup(event), now),
  })),
  strategy: eventsGroupStrategy,
  anyFinalizer: true,
  selectableFields: Object.fromEntries(
    Object.entries(eventFields).map(([path, read]) => [
      path.replace('involvedObject', 'regarding').replace('reportingComponent', 'reportingController'),
      (event: KubeObject) => read(fromEventsGroup(event)),
    ]),
  ),
  stored: { key: 'events', fromStored: toEventsGroup, toStored: fromEventsGroup },
}
