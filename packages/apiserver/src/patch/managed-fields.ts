/**
 * Who owns which field: `metadata.managedFields`, kept up to date on every write, and server-side apply, which uses it to
 * find conflicts and to remove what an applier no longer states. Follows apimachinery's `managedfields` package.
 */
import type { KubeObject, ManagedFieldsEntry, StatusCause } from '@caisson/api'
import { decodeNative } from '../schema/native.ts'
import type { Schema } from '../schema/schema.ts'
import { LONGEST_PATH } from '../shown-path.ts'
import { StatusError } from '../status-error.ts'
import { deepFreeze } from '../storage/freeze.ts'
import { shareUnchanged } from '../storage/share.ts'
import { checkShape } from '../verbs/decode.ts'
import {
  difference,
  differenceBelow,
  emptySet,
  type FieldSet,
  formatPath,
  fromFieldsV1,
  intersection,
  isEmpty,
  members,
  setOf,
  toFieldsV1,
  union,
  unionOfAll,
} from './field-set.ts'
import { deepEqual } from './json-value.ts'
import { typeErrors } from './typed-check.ts'
import { compare, fieldsOf, merge, remove, withObjectMeta } from './typed-value.ts'

/** apimachinery's DefaultMaxUpdateManagers: beyond it the oldest are folded into `ancient-changes`. */
const MAX_UPDATE_MANAGERS = 10

export interface WriteContext {
  /** The `fieldManager` parameter, or the user agent's first word. */
  manager: string
  /** Of the request: `apps/v1`. */
  apiVersion: string
  /** `status`, `scale` …; empty for the object itself. */
  subresource: string
  /** Of the kind in that version. */
  schema: Schema
  /** True for a built-in kind, whose struct fields exist before anyone sets them. */
  builtin: boolean
  /** Whether `status` can be written through its subresource only. */
  statusSubresource: boolean
  /** ms since the epoch. */
  now: number
}

interface Owner {
  manager: string
  operation: 'Apply' | 'Update'
  apiVersion: string
  subresource: string
  time: string | undefined
  set: FieldSet
  /** As it was read, with the set that it says: written again where nobody has changed the set. */
  read?: { entry: ManagedFieldsEntry; set: FieldSet }
}

/** What the server itself owns, and so nobody else (managedfields' stripmeta.go). */
const SERVER_OWNED = setOf(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((field) => ['f:metadata', `f:${field}`]),
)
const STATUS = setOf(['f:status'])

/** Writes into `next` who owns which of its fields after a create (`current` undefined) or an update of `current`. */
export function trackUpdate(current: KubeObject | undefined, next: KubeObject, context: WriteContext): void {
  const managedFields = managedFieldsAfter(current, next, context)
  if (managedFields) next.metadata.managedFields = managedFields
  else delete next.metadata.managedFields
}

/**
 * The managedFields that `next` has then. Where the request itself carries a list it is taken instead of the stored one; an
 * empty list, or `[{}]`, resets ownership. A list that cannot be read counts as none, as in kube-apiserver.
 */
export function managedFieldsAfter(
  current: KubeObject | undefined,
  next: KubeObject,
  context: WriteContext,
): ManagedFieldsEntry[] | undefined {
  // What is as it was is known already, and need be neither read nor written.
  const stored = current?.metadata.managedFields
  // Nobody changes it through another door than the object's own.
  const given = context.subresource === '' ? shareUnchanged(stored, next.metadata.managedFields) : stored
  if (given && current && (given.length === 0 || (given.length === 1 && Object.keys(given[0] ?? {}).length === 0)))
    return undefined
  const owners = readOwners(given) ?? readOwners(stored) ?? []
  // Whoever reset the ownership of an object wants none: only an apply starts it again.
  if (current && owners.length === 0) return undefined
  const schema = withObjectMeta(context.schema)
  const before = comparable(current ?? emptyObject(context))
  const change = compare(before, comparable(next), schema)
  const taken = throughDoor(union(change.added, change.modified), context)
  const removed = throughDoor(change.removed, context)
  const mine = ownable(taken, context)
  const lost = union(taken, removed)
  const kept = owners
    .map((owner) => ({
      ...owner,
      set: sameOwner(owner, context, 'Update') ? difference(owner.set, removed) : difference(owner.set, lost),
    }))
    .filter((owner) => !isEmpty(owner.set))
  if (!isEmpty(mine)) {
    const previous = kept.find((owner) => sameOwner(owner, context, 'Update'))
    const owner = {
      ...ownerOf(context, 'Update', previous ? union(previous.set, mine) : mine),
      ...(previous?.read && { read: previous.read }),
    }
    if (previous) kept[kept.indexOf(previous)] = owner
    else kept.push(owner)
  }
  return writeOwners(capUpdates(kept))
}

export interface ApplyRequest extends WriteContext {
  /** Take over fields that others own, instead of failing. */
  force: boolean
  /** Where what is applied is another view of the object: the version in which a conflict names the fields' owners. */
  shownVersion?: string
}

/**
 * The object that applying `applied` to `live` gives, with its managedFields. Equal to `live` where nothing changes.
 *
 * @throws StatusError Conflict, with a FieldManagerConflict cause for each field that somebody else owns;
 *   RequestEntityTooLarge where the object would have more fields and list items than a body may have
 */
export function applyServerSide(live: KubeObject | undefined, applied: KubeObject, request: ApplyRequest): KubeObject {
  const schema = withObjectMeta(request.schema)
  refuseWrongTypes(applied, schema)
  if (applied.metadata.managedFields !== undefined) {
    throw new StatusError('BadRequest', 'metadata.managedFields must be nil')
  }
  const base = comparable(live ?? emptyObject(request))
  const stored = readOwners(live?.metadata.managedFields)
  const owners = stored && stored.length > 0 ? stored : live ? [beforeFirstApply(live, schema, request)] : []
  const config = comparable(applied)
  const before = owners.find((owner) => sameOwner(owner, request, 'Apply'))
  const others = owners.filter((owner) => owner !== before)

  const merged = merge(base, config, schema)
  // Before anything else is computed of it, which for so many fields takes the event loop for a second.
  if (!before) checkShape(merged)
  const stated = fieldsOf(config, schema)
  const kept = unionOfAll([stated, ...others.map(({ set }) => set)])
  const result = before ? remove(merged, { gone: before.set, kept }, schema) : merged
  if (before) checkShape(result)
  const { added, modified, removed } = compare(base, result, schema)
  const taken = union(added, modified)

  if (!request.force) refuseConflicts(others, taken, request.shownVersion)
  const lost = union(taken, removed)
  const left = others
    .map((owner) => ({ ...owner, set: difference(owner.set, lost) }))
    .filter((owner) => !isEmpty(owner.set))
  const mine = ownable(stated, request)
  // The time is that of the last change of the object: an apply that changed none keeps what was there, or has none.
  const changed = !live || !deepEqual(base, result)
  if (!isEmpty(mine))
    left.push(changed ? ownerOf(request, 'Apply', mine) : { ...ownerOf(request, 'Apply', mine), time: before?.time })
  const object = result as KubeObject
  const managedFields = writeOwners(left)
  return { ...object, metadata: { ...object.metadata, ...(managedFields && { managedFields }) } }
}

/** Without managedFields, which are about the object and not of it. */
function comparable(object: Record<string, unknown>): Record<string, unknown> {
  const { managedFields: _, ...metadata } = (object['metadata'] ?? {}) as KubeObject['metadata']
  return { ...object, metadata }
}

/** What a writer of this request can own: not what the server sets, and not what this endpoint cannot change. */
function ownable(set: FieldSet, context: WriteContext): FieldSet {
  return throughDoor(difference(set, SERVER_OWNED), context)
}

/** The part of a change that this endpoint lets through; the rest is put back, and so is nobody's gain or loss. */
function throughDoor(set: FieldSet, { subresource, statusSubresource }: WriteContext): FieldSet {
  if (subresource === 'status') {
    const children = new Map<string, FieldSet>()
    for (const field of ['f:status', 'f:metadata']) {
      const part = set.children.get(field)
      if (part) children.set(field, part)
    }
    return { member: false, children }
  }
  const own: FieldSet = { member: false, children: set.children }
  return statusSubresource ? differenceBelow(own, STATUS) : own
}

/**
 * What an object holds before anyone has set anything: of a built-in kind the zero values that Go always writes. They are
 * not owned by the one who creates the object.
 */
function emptyObject({ builtin, schema }: WriteContext): Readonly<Record<string, unknown>> {
  if (!builtin || schema.$ref === undefined) return { metadata: {} }
  let empty = emptyObjects.get(schema.$ref)
  if (!empty) {
    empty = deepFreeze(decodeNative(schema.$ref, {}).object)
    emptyObjects.set(schema.$ref, empty)
  }
  return empty
}

const emptyObjects = new Map<string, Readonly<Record<string, unknown>>>()

/** structured-merge-diff reads what is applied before anything else, and its errors have no reason and no details. */
/** @throws StatusError where what is applied has a value of another type than its schema says */
export function refuseWrongTypes(applied: KubeObject, schema: Schema): void {
  const errors = typeErrors(applied, schema)
  if (errors.length === 0) return
  const said = errors.length === 1 ? errors[0] : ['errors:', ...errors.map((error) => `  ${error}`)].join('\n')
  throw new StatusError('Unknown', `failed to create typed patch object (${appliedName(applied)}): ${said}`)
}

/** What is applied, as errors about it call it: `one/web; apps/v1, Kind=Deployment`. */
export function appliedName({ metadata, ...type }: KubeObject): string {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  return `${text(metadata.namespace)}/${text(metadata.name)}; ${appliedType(type)}`
}

/** `apps/v1, Kind=Deployment` */
export function appliedType({ apiVersion, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): string {
  return `${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`
}

function sameOwner(owner: Owner, context: WriteContext, operation: Owner['operation']): boolean {
  return (
    owner.manager === context.manager &&
    owner.operation === operation &&
    owner.subresource === context.subresource &&
    // An applier is the same whatever version it applies in; updates are tracked by version.
    (operation === 'Apply' || owner.apiVersion === context.apiVersion)
  )
}

function ownerOf(context: WriteContext, operation: Owner['operation'], set: FieldSet): Owner {
  const time = `${new Date(context.now).toISOString().slice(0, 19)}Z`
  return {
    manager: context.manager,
    operation,
    apiVersion: context.apiVersion,
    subresource: context.subresource,
    time,
    set,
  }
}

function beforeFirstApply(live: KubeObject, schema: Schema, context: WriteContext): Owner {
  // As an update from nothing: containers are owned too.
  const { added, modified } = compare(comparable(emptyObject(context)), comparable(live), schema)
  const set = ownable(union(added, modified), { ...context, subresource: '' })
  return { ...ownerOf(context, 'Update', set), manager: 'before-first-apply', subresource: '' }
}

/** Said to whoever applies: an object can have fifty thousand. */
const MOST_CONFLICTS = 1000

function refuseConflicts(others: readonly Owner[], taken: FieldSet, shownVersion: string | undefined): void {
  const conflicts: { who: string; field: string }[] = []
  let count = 0
  for (const owner of others) {
    // A client may write any version there.
    const who = describe(owner, shownVersion).slice(0, LONGEST_PATH)
    for (const path of members(intersection(owner.set, taken)))
      if (++count <= MOST_CONFLICTS) conflicts.push({ who, field: formatPath(path) })
  }
  if (count === 0) return
  const causes: StatusCause[] = conflicts.map(({ who, field }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${who}`,
    field,
  }))
  const plural = count === 1 ? '' : 's'
  const more = count > MOST_CONFLICTS ? `\nand ${count - MOST_CONFLICTS} more` : ''
  throw new StatusError('Conflict', `Apply failed with ${count} conflict${plural}: ${list(conflicts)}${more}`, {
    details: { causes },
  })
}

function list(conflicts: ReadonlyArray<{ who: string; field: string }>): string {
  const [only] = conflicts
  if (conflicts.length === 1 && only) return `conflict with ${only.who}: ${only.field}`
  const byOwner = Map.groupBy(conflicts, ({ who }) => who)
  return [...byOwner.keys()]
    .sort()
    .flatMap((who) => [`conflicts with ${who}:`, ...(byOwner.get(who) ?? []).map(({ field }) => `- ${field}`)])
    .join('\n')
}

function describe(owner: Owner, shownVersion = owner.apiVersion): string {
  const name =
    JSON.stringify(owner.manager) + (owner.subresource ? ` with subresource ${JSON.stringify(owner.subresource)}` : '')
  return owner.operation === 'Update' ? `${name} using ${shownVersion}` : name
}

/** Of each version the oldest, until there are few enough: where of one version there is one alone, it stays as it is. */
function capUpdates(owners: Owner[]): Owner[] {
  const updates = owners.filter((owner) => owner.operation === 'Update').sort(byTime)
  const byVersion = new Map<string, Owner[]>()
  let count = updates.length
  for (const owner of updates) {
    if (count <= MAX_UPDATE_MANAGERS) break
    const older = byVersion.get(owner.apiVersion)
    if (older) {
      older.push(owner)
      count--
    } else byVersion.set(owner.apiVersion, [owner])
  }
  const folded = [...byVersion.values()].filter((each) => each.length > 1)
  if (folded.length === 0) return owners
  const gone = new Set(folded.flat())
  return [...owners.filter((owner) => !gone.has(owner)), ...folded.map(fold)]
}

/** Of one version, by time. */
function fold(owners: readonly Owner[]): Owner {
  const { read: _, ...newest } = owners.at(-1) as Owner
  const set = unionOfAll(owners.map((owner) => owner.set))
  return { ...newest, manager: 'ancient-changes', subresource: '', set }
}

function byTime(a: Owner, b: Owner): number {
  return compareText(a.time ?? '', b.time ?? '') || compareText(a.manager, b.manager)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Undefined where there is no list, or one that cannot be read. */
function readOwners(entries: readonly ManagedFieldsEntry[] | undefined): Owner[] | undefined {
  if (!entries) return undefined
  try {
    return entries.map((entry) => {
      if (entry.fieldsType !== 'FieldsV1') throw new Error('no form of fields that is known')
      const set = entry.fieldsV1 ? fromFieldsV1(entry.fieldsV1) : emptySet()
      return {
        manager: entry.manager ?? 'unknown',
        operation: entry.operation === 'Apply' ? 'Apply' : 'Update',
        apiVersion: entry.apiVersion ?? '',
        subresource: entry.subresource ?? '',
        time: entry.time,
        set,
        ...(Object.isFrozen(entry.fieldsV1) && { read: { entry, set } }),
      }
    })
  } catch {
    return undefined
  }
}

/** Applies first, then by time, manager, version and subresource: the order in which Kubernetes writes them. */
function writeOwners(owners: readonly Owner[]): ManagedFieldsEntry[] | undefined {
  if (owners.length === 0) return undefined
  const sorted = [...owners].sort(
    (a, b) =>
      compareText(a.operation, b.operation) ||
      byTime(a, b) ||
      compareText(a.apiVersion, b.apiVersion) ||
      compareText(a.subresource, b.subresource),
  )
  return sorted.map(writeOwner)
}

function writeOwner({ manager, operation, apiVersion, subresource, time, set, read }: Owner): ManagedFieldsEntry {
  const before = read?.set === set ? read.entry : undefined
  if (before?.fieldsV1 && before.time === time) return before
  return {
    manager,
    operation,
    apiVersion,
    ...(time && { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: before?.fieldsV1 ?? toFieldsV1(set),
    ...(subresource && { subresource }),
  }
}
