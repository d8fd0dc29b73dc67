/**
 * Keeps a flat object and its canonical one in agreement. Both are edited by users, so that each pass has to know who
 * spoke last: the status of the flat object keeps the generations at which they said the same. Where both were edited
 * since then, the flat one is what counts. Who deletes either deletes both: the canonical one goes with its owner, which is
 * the flat one, and that is deleted here. It has no owner itself, because Argo CD prunes nothing that has one.
 */
import {
  type Agreement,
  type ConditionState,
  controllerReference,
  EXTENSIONS_GROUP,
  isReservedLabel,
  type KubeObject,
  mergeConditions,
  ownershipOf,
  TRANSLATED,
  TRANSLATED_REASONS,
} from '@caisson/api'
import type { Resource } from '@caisson/client'
import { mergePatch } from '../engine/json-difference.ts'
import { type DeleteWrite, nothing, type Plan, type Write, type WriteFailure, writeId } from '../engine/plan.ts'
import { deletionOf, identityOf } from '../sandbox/objects.ts'
import type { CanonicalObject, CanonicalSpecs, Dialect, FlatObject } from './dialect.ts'
import { type FlatStatus, flatStatus } from './flat-status.ts'

export interface ObservedFlat<F extends FlatObject = FlatObject> {
  flat: F
  /** What has the flat object's name, whoever made it. */
  main: CanonicalObject | undefined
  template: CanonicalObject | undefined
  failures: readonly WriteFailure[]
}

type Slot = keyof CanonicalSpecs

interface Part {
  slot: Slot
  resource: Resource<CanonicalObject>
  wanted: object | undefined
  found: CanonicalObject | undefined
  /** From when both last said the same; undefined where that was about another object. */
  agreement: Agreement | undefined
}

/**
 * On the canonical object: `FLAT/CANONICAL`, the generations at which it was last written from the flat one. It comes with
 * that very write, and so before a status can say it.
 */
const WRITTEN_FROM = 'caisson.dev/written-from'

/** How long to leave objects alone whose namespace goes away: usually they are gone by then. */
const NAMESPACE_TERMINATING_RECHECK = 30_000

/** @param now ms since the epoch */
export function planDialect<F extends FlatObject>(
  dialect: Dialect<F>,
  observed: ObservedFlat<F>,
  now: number,
): Plan<FlatStatus> {
  const { flat, main, failures } = observed
  if (flat.metadata.deletionTimestamp) return nothing()
  if (failures.some(({ namespaceTerminating }) => namespaceTerminating))
    return nothing(now + NAMESPACE_TERMINATING_RECHECK)
  const retry = failures.some(({ permanent }) => !permanent)
  const deleted = deletedMain(flat, main)
  if (deleted) return { ...nothing(), writes: [endAfter(dialect, flat, deleted)], retry }
  const translation = dialect.translate(flat)
  if ('problem' in translation) {
    const mirrored = main && isOurs(main, flat) ? main : undefined
    return toldOnly(dialect, observed, { mirrored, reason: 'invalidField', message: translation.problem, now })
  }
  const parts = partsOf(dialect, observed, translation.canonical)
  const taken = parts.find(({ found, wanted }) => found && wanted && !isOurs(found, flat))
  if (taken) {
    const message = `${taken.resource.kind}.${EXTENSIONS_GROUP} ${JSON.stringify(flat.metadata.name)} is there and was not made from this object: rename or delete one of them`
    return toldOnly(dialect, observed, { mirrored: undefined, reason: 'nameTaken', message, now })
  }
  const refused = new Set(failures.map(({ id }) => id))
  const writes = planWrites(dialect, flat, { parts, refused })
  const status = flatStatus(dialect, flat, {
    main,
    agreements: failures.length > 0 || writes.length > 0 ? kept(flat) : agreed(flat, parts),
    translated: translated(failures, translation.ignored),
    now,
  })
  return {
    ...nothing(),
    writes,
    status,
    statusEvents: failureEvents(flat, status),
    retry,
  }
}

/** The UID of the canonical object that both agreed on, where the cache has it no more. */
function deletedMain(flat: FlatObject, main: CanonicalObject | undefined): string | undefined {
  const { canonical } = (flat.status ?? {}) as FlatStatus
  return canonical && canonical.uid !== main?.metadata.uid ? canonical.uid : undefined
}

/** The flat object's own end, once the canonical one is gone. */
function endAfter<F extends FlatObject>(dialect: Dialect<F>, flat: F, uid: string): DeleteWrite {
  const { namespace, name } = identityOf(flat)
  return { ...deletionOf(dialect.flat, flat), after: { resource: dialect.main, target: { namespace, name }, uid } }
}

function partsOf<F extends FlatObject>(
  dialect: Dialect<F>,
  { flat, main, template }: ObservedFlat<F>,
  specs: CanonicalSpecs,
): Part[] {
  const status = (flat.status ?? {}) as FlatStatus
  const mainPart: Part = {
    slot: 'main',
    resource: dialect.main,
    wanted: specs.main,
    found: main,
    agreement: agreementOn(flat, status.canonical, main),
  }
  if (!dialect.template) return [mainPart]
  // The pool finds its template made.
  return [
    {
      slot: 'template',
      resource: dialect.template,
      wanted: specs.template,
      found: template,
      agreement: agreementOn(flat, status.canonicalTemplate, template),
    },
    mainPart,
  ]
}

/** The newest that is known: from the object itself where that was written from the flat one as it is now. */
function agreementOn(
  flat: FlatObject,
  told: Agreement | undefined,
  found: CanonicalObject | undefined,
): Agreement | undefined {
  if (!found) return undefined
  const { uid = '', annotations } = found.metadata
  const status = told?.uid === uid ? told : undefined
  const [fromGeneration = 0, generation = 0] = (annotations?.[WRITTEN_FROM] ?? '').split('/').map(Number)
  const written = fromGeneration > 0 && generation > 0 ? { uid, generation, fromGeneration } : undefined
  if (written?.fromGeneration !== flat.metadata.generation) return status ?? written
  // A write that only said otherwise what the server has for itself changed nothing, and did not make that generation.
  if (status?.fromGeneration === written?.fromGeneration) return status
  return written && { ...written, generation: Math.min(written.generation, found.metadata.generation ?? 0) }
}

function planWrites<F extends FlatObject>(
  dialect: Dialect<F>,
  flat: F,
  { parts, refused }: { parts: readonly Part[]; refused: ReadonlySet<string> },
): Write[] {
  const wanted = parts.filter((part) => part.wanted)
  // One after the other: a pool whose template is refused would only say that it is missing.
  const missing = wanted.filter(({ found }) => !found).slice(0, 1)
  const found = wanted.filter((part) => part.found)
  const main = parts.find(({ slot }) => slot === 'main')?.found
  const edits = found.some((part) => isFlatEdited(flat, part))
    ? found.flatMap((part) => following(dialect, flat, part))
    : main && found.some(isCanonicalEdited)
      ? takingBack(dialect, flat, { main, found })
      : []
  return [
    ...missing.map(({ resource, wanted = {} }) => creation(resource, flat, wanted)),
    ...found.flatMap(({ resource, found: object }) => (object ? labelling(resource, object, flat) : [])),
    ...edits,
    ...parts.flatMap(({ resource, wanted: spec, found: object }) =>
      !spec && object && isOurs(object, flat) ? [deletionOf(resource, object)] : [],
    ),
  ].filter(({ id }) => !refused.has(id))
}

function isFlatEdited(flat: FlatObject, { agreement }: Part): boolean {
  return agreement?.fromGeneration !== flat.metadata.generation
}

function isCanonicalEdited({ agreement, found }: Part): boolean {
  return agreement !== undefined && agreement.generation < (found?.metadata.generation ?? 0)
}

function creation(resource: Resource<CanonicalObject>, flat: FlatObject, spec: object): Write {
  const { name, namespace, labels, annotations, generation } = flat.metadata
  const { 'kubectl.kubernetes.io/last-applied-configuration': _applied, ...kept } = annotations ?? {}
  return {
    verb: 'create',
    id: writeId('create', resource, name ?? ''),
    resource,
    strict: true,
    object: {
      apiVersion: resource.apiVersion,
      kind: resource.kind,
      metadata: {
        name: name ?? '',
        namespace: namespace ?? '',
        ...(labels && { labels }),
        annotations: { ...kept, [WRITTEN_FROM]: `${generation}/1` },
        ownerReferences: [controllerReference(flat)],
      },
      spec,
    },
  }
}

function patching(resource: Resource, object: KubeObject, what: string, patch: object): Write {
  const { name, namespace, uid, resourceVersion } = identityOf(object)
  const { metadata, ...rest } = patch as { metadata?: object }
  return {
    verb: 'patch',
    id: `${writeId('patch', resource, name)} ${what}`,
    resource,
    strict: true,
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, ...metadata }, ...rest },
  }
}

/**
 * Labels are what pools are selected by. One that the flat object loses stays. Reserved ones are other controllers' to keep,
 * which would put right for ever what this one wrote.
 */
function labelling(resource: Resource<CanonicalObject>, found: CanonicalObject, flat: FlatObject): Write[] {
  const wanted = Object.entries(flat.metadata.labels ?? {}).filter(([key]) => !isReservedLabel(key))
  const missing = wanted.filter(([key, value]) => found.metadata.labels?.[key] !== value)
  if (missing.length === 0) return []
  return [patching(resource, found, 'labels', { metadata: { labels: Object.fromEntries(missing) } })]
}

function following<F extends FlatObject>(
  dialect: Dialect<F>,
  flat: F,
  { resource, found, wanted, slot }: Part,
): Write[] {
  if (!found || !wanted) return []
  const spec = mergePatch(dialect.plain(slot, found.spec), dialect.plain(slot, wanted))
  if (!spec) return []
  const { generation } = flat.metadata
  const annotations = { [WRITTEN_FROM]: `${generation}/${(found.metadata.generation ?? 0) + 1}` }
  return [patching(resource, found, `spec ${generation}`, { metadata: { annotations }, spec })]
}

function takingBack<F extends FlatObject>(
  dialect: Dialect<F>,
  flat: F,
  { main, found }: { main: CanonicalObject; found: readonly Part[] },
): Write[] {
  const template = found.find(({ slot }) => slot === 'template')?.found
  const spec = mergePatch(flat.spec, dialect.takeBack(flat, { main: main.spec, template: template?.spec }))
  const what = `spec ${main.metadata.generation} ${template?.metadata.generation ?? ''}`
  return spec ? [patching(dialect.flat, flat, what, { spec })] : []
}

function isOurs(object: KubeObject, flat: FlatObject): boolean {
  return ownershipOf(object, flat) === 'owned'
}

type Agreements = Pick<FlatStatus, 'canonical' | 'canonicalTemplate'>

function kept({ status }: FlatObject): Agreements {
  const { canonical, canonicalTemplate } = (status ?? {}) as FlatStatus
  return { ...(canonical && { canonical }), ...(canonicalTemplate && { canonicalTemplate }) }
}

/** Nothing is left to be written: so they say the same. */
function agreed(flat: FlatObject, parts: readonly Part[]): Agreements {
  const of = (wanted: Slot): Agreement | undefined => {
    const found = parts.find(({ slot, wanted: spec }) => slot === wanted && spec)?.found
    if (!found) return undefined
    const { uid = '', generation = 0 } = found.metadata
    return { uid, generation, fromGeneration: flat.metadata.generation ?? 0 }
  }
  const [canonical, canonicalTemplate] = [of('main'), of('template')]
  return { ...(canonical && { canonical }), ...(canonicalTemplate && { canonicalTemplate }) }
}

function translated(failures: readonly WriteFailure[], ignored: readonly string[]): ConditionState {
  const failure = failures.find(({ permanent }) => permanent) ?? failures[0]
  if (failure) {
    const reason = failure.permanent ? TRANSLATED_REASONS.refused : TRANSLATED_REASONS.failed
    return { type: TRANSLATED, status: 'False', reason, message: failure.message }
  }
  const message = ['the canonical object says the same', ...ignored].join('; ')
  return { type: TRANSLATED, status: 'True', reason: TRANSLATED_REASONS.translated, message }
}

/** Nothing is written but why nothing is. */
function toldOnly<F extends FlatObject>(
  dialect: Dialect<F>,
  { flat }: ObservedFlat<F>,
  told: { mirrored: CanonicalObject | undefined; reason: 'invalidField' | 'nameTaken'; message: string; now: number },
): Plan<FlatStatus> {
  const status = flatStatus(dialect, flat, {
    main: told.mirrored,
    agreements: kept(flat),
    translated: { type: TRANSLATED, status: 'False', reason: TRANSLATED_REASONS[told.reason], message: told.message },
    now: told.now,
  })
  return { ...nothing(), status, statusEvents: failureEvents(flat, status) }
}

/** Once for each new trouble. */
function failureEvents(flat: FlatObject, status: FlatStatus): Plan<FlatStatus>['statusEvents'] {
  const of = (conditions: unknown) =>
    mergeConditions(conditions as [], [], { now: 0 }).find(({ type }) => type === TRANSLATED)
  const [before, now] = [of(flat.status?.conditions), of(status.conditions)]
  if (now?.status !== 'False' || (before?.reason === now.reason && before.message === now.message)) return []
  return [{ type: 'Warning', reason: now.reason, action: 'Translating', message: now.message }]
}
