/** Event: one kind under two groups. Stored as core/v1; events.k8s.io/v1 is another view of the same. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, required } from '../field-error.ts'
import { dns1123Subdomain, qualifiedName } from '../names.ts'
import type { Strategy } from '../resource.ts'
import { immutable } from './immutable.ts'

/** As core/v1 spells it. */
interface CoreEvent extends KubeObject {
  involvedObject?: Record<string, string>
  message?: string
  reason?: string
  type?: string
  eventTime?: string | null
  firstTimestamp?: string | null
  lastTimestamp?: string | null
  count?: number
  source?: { component?: string; host?: string }
  series?: { count?: number; lastObservedTime?: string | null }
  action?: string
  related?: Record<string, string>
  reportingComponent?: string
  reportingInstance?: string
}

/** core/v1 name, events.k8s.io/v1 name; the rest is spelt the same. */
const RENAMED = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
] as const

/** What Go writes although it is empty, which the other version leaves out; and the other way about. */
const ALWAYS_IN_CORE: Readonly<Record<string, unknown>> = {
  involvedObject: {},
  source: {},
  firstTimestamp: null,
  lastTimestamp: null,
  reportingComponent: '',
  reportingInstance: '',
}

/** A stored Event as clients of events.k8s.io/v1 see it. */
export function toEventsGroup(event: KubeObject): KubeObject {
  const view: Record<string, unknown> = { ...event, apiVersion: 'events.k8s.io/v1' }
  for (const [core, name] of RENAMED) {
    const value = view[core]
    delete view[core]
    if (value !== undefined && value !== '' && !(core === 'count' && value === 0)) view[name] = value
  }
  if (view['reportingInstance'] === '') delete view['reportingInstance']
  return view as unknown as KubeObject
}

/** An Event of events.k8s.io/v1 as it is stored. */
export function fromEventsGroup(event: KubeObject): KubeObject {
  const stored: Record<string, unknown> = { ...event, apiVersion: 'v1' }
  for (const [core, name] of RENAMED) {
    const value = stored[name]
    delete stored[name]
    if (value !== undefined) stored[core] = value
  }
  for (const [field, zero] of Object.entries(ALWAYS_IN_CORE)) stored[field] ??= structuredClone(zero)
  return stored as unknown as KubeObject
}

const shared: Strategy = {
  // Names of Events are not checked in core/v1: clients append whatever they like to the name of what it is about.
  nameRule: () => [],
  generation: false,
  createOnUpdate: true,
  garbageCollected: false,
}

export const coreEventStrategy: Strategy = {
  ...shared,
  validate: (object) => validateLegacy(object as CoreEvent, 'reportingComponent'),
  validateUpdate: (next) => validateLegacy(next as CoreEvent, 'reportingComponent'),
}

export const eventsGroupStrategy: Strategy = {
  ...shared,
  validate: (object) => validateNew(fromEventsGroup(object) as CoreEvent),
  validateUpdate: (next, current) =>
    validateChange(fromEventsGroup(next) as CoreEvent, fromEventsGroup(current) as CoreEvent),
}

const MAX_BYTES = 128
const MAX_NOTE_BYTES = 1024

function validateLegacy(event: CoreEvent, controllerField: string): FieldError[] {
  const errors: FieldError[] = []
  const namespace = event.metadata.namespace ?? ''
  const involved = event.involvedObject?.['namespace'] ?? ''
  const mismatch = invalidValue('involvedObject.namespace', involved, 'does not match event.namespace')
  if (!event.eventTime) {
    if (involved ? namespace !== involved : namespace !== '' && namespace !== 'default') errors.push(mismatch)
  } else {
    if (!involved && namespace !== 'default' && namespace !== 'kube-system') errors.push(mismatch)
    const controller = event.reportingComponent ?? ''
    if (!controller) errors.push(required(controllerField))
    for (const said of qualifiedName(controller)) errors.push(invalidValue(controllerField, controller, said))
    for (const field of ['reportingInstance', 'action', 'reason'] as const) {
      const value = event[field] ?? ''
      if (!value) errors.push(required(field))
      if (Buffer.byteLength(value) > MAX_BYTES) {
        errors.push(invalidValue(field, '', `can have at most ${MAX_BYTES} characters`))
      }
    }
    if (Buffer.byteLength(event.message ?? '') > MAX_NOTE_BYTES) {
      errors.push(invalidValue('message', '', `can have at most ${MAX_NOTE_BYTES} characters`))
    }
  }
  for (const said of dns1123Subdomain(namespace)) errors.push(invalidValue('namespace', namespace, said))
  return errors
}

/** The newer group asks for more. */
function validateNew(event: CoreEvent): FieldError[] {
  const errors = validateLegacy(event, 'reportingController')
  const name = event.metadata.name ?? ''
  if (name) for (const said of dns1123Subdomain(name)) errors.push(invalidValue('metadata.name', name, said))
  validateSeries(event, errors)
  if (!event.eventTime) errors.push(required('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning') {
    errors.push(invalidValue('type', '', `has invalid value: ${event.type ?? ''}`))
  }
  const unset = {
    firstTimestamp: event.firstTimestamp,
    lastTimestamp: event.lastTimestamp,
    count: event.count,
    source: event.source?.component || event.source?.host,
  }
  for (const [field, value] of Object.entries(unset))
    if (value) errors.push(invalidValue(field, '', 'needs to be unset'))
  return errors
}

function validateSeries(event: CoreEvent, errors: FieldError[]): void {
  if (!event.series) return
  if ((event.series.count ?? 0) < 2) errors.push(invalidValue('series.count', '', 'should be at least 2'))
  if (!event.series.lastObservedTime) errors.push(required('series.lastObservedTime'))
}

const IMMUTABLE = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'type',
  'eventTime',
  'action',
  'related',
  'reportingComponent',
  'reportingInstance',
] as const

const TEXTS: ReadonlySet<string> = new Set([
  'reason',
  'message',
  'type',
  'action',
  'reportingComponent',
  'reportingInstance',
])

function validateChange(next: CoreEvent, current: CoreEvent): FieldError[] {
  const errors = validateLegacy(next, 'reportingController')
  if (JSON.stringify(next.series) !== JSON.stringify(current.series)) validateSeries(next, errors)
  for (const field of IMMUTABLE) {
    const shown = field === 'reportingComponent' ? 'reportingController' : field
    const zero = TEXTS.has(field) ? '' : undefined
    immutable(next[field] ?? zero, current[field] ?? zero, shown, errors)
  }
  return errors
}
