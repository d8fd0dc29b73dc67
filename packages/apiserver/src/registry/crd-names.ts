/** Which names of a CustomResourceDefinition are taken by another one of its group or by a built-in kind, and the conditions that follow. */
import type { KubeObject } from '@caisson/api'
import { deepEqual } from '../patch/json-value.ts'
import { type CrdCondition, type CrdNames, type CrdStatus, conditionOf, specOf, statusOf } from './crd.ts'
import { goQuote } from './field-error.ts'
import type { Resource } from './resource.ts'

export interface KnownNames {
  /** Every other CustomResourceDefinition. */
  definitions: Iterable<KubeObject>
  /**
   * Their objects are stored by group and plural as those of definitions: of a definition with the names of one its objects
   * would be those of the built-in kind, past its validation, and would all go with the definition.
   */
  builtin: readonly Resource[]
}

/**
 * The status of `crd` with its names accepted where nobody else has them. A definition is established, and served, as
 * soon as its names are accepted, and stays so.
 *
 * @param now RFC 3339 to the second
 */
export function acceptNames(crd: KubeObject, known: KnownNames, now: string): CrdStatus {
  const status = statusOf(crd)
  const { group, names } = specOf(crd)
  const accepted: Partial<CrdNames> = { ...status.acceptedNames }
  const taken = namesOfGroup(group, crd.metadata.name, known)
  const conflicts: Array<[reason: string, message: string]> = []
  const claim = (
    field: 'plural' | 'singular' | 'kind' | 'listKind',
    reason: string,
    used: ReadonlySet<string>,
  ): void => {
    const name = names[field] as string
    if (name !== accepted[field] && used.has(name)) conflicts.push([reason, inUse(name)])
    else accepted[field] = name
  }
  claim('plural', 'PluralConflict', taken.resources)
  claim('singular', 'SingularConflict', taken.resources)
  const own = new Set(status.acceptedNames?.shortNames)
  const shortNames = (names.shortNames ?? []).filter((name) => !own.has(name) && taken.resources.has(name))
  if (shortNames.length > 0) conflicts.push(['ShortNamesConflict', aggregate(shortNames.map(inUse))])
  else if (names.shortNames) accepted.shortNames = names.shortNames
  else delete accepted.shortNames
  claim('kind', 'KindConflict', taken.kinds)
  claim('listKind', 'ListKindConflict', taken.kinds)
  if (names.categories) accepted.categories = names.categories
  else delete accepted.categories

  // The last conflict is the one that is told, as in Kubernetes.
  const [reason, message] = conflicts.at(-1) ?? ['NoConflicts', 'no conflicts found']
  const conditions = [...(status.conditions ?? [])]
  setCondition(conditions, { type: 'NamesAccepted', status: conflicts.length ? 'False' : 'True', reason, message }, now)
  if (conditionOf(crd, 'Established')?.status !== 'True') {
    setCondition(
      conditions,
      conflicts.length === 0
        ? {
            type: 'Established',
            status: 'True',
            reason: 'InitialNamesAccepted',
            message: 'the initial names have been accepted',
          }
        : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' },
      now,
    )
  }
  return { ...status, conditions, acceptedNames: accepted as CrdNames }
}

/** Whether accepting names again could change anything: what another definition gave up may be free now. */
export function namesPending(crd: KubeObject): boolean {
  return !deepEqual(specOf(crd).names, statusOf(crd).acceptedNames)
}

export function setCondition(conditions: CrdCondition[], condition: CrdCondition, now: string): void {
  const index = conditions.findIndex((one) => one.type === condition.type)
  const existing = conditions[index]
  const since = existing?.status === condition.status && existing.lastTransitionTime
  const next = { ...condition, lastTransitionTime: since || now }
  if (index < 0) conditions.push(next)
  else conditions[index] = next
}

function namesOfGroup(group: string, self: string | undefined, { definitions, builtin }: KnownNames) {
  const resources = new Set<string>()
  const kinds = new Set<string>()
  for (const each of builtin) {
    if (each.group !== group) continue
    for (const name of [each.plural, each.singular, ...each.shortNames]) resources.add(name)
    kinds.add(each.kind).add(each.listKind)
  }
  for (const other of definitions) {
    if (other.metadata.name === self || specOf(other).group !== group) continue
    const accepted = statusOf(other).acceptedNames
    if (!accepted) continue
    for (const name of [accepted.plural, accepted.singular, ...(accepted.shortNames ?? [])])
      if (name) resources.add(name)
    for (const name of [accepted.kind, accepted.listKind]) if (name) kinds.add(name)
  }
  return { resources, kinds }
}

function inUse(name: string): string {
  return `${goQuote(name)} is already in use`
}

/** As apimachinery joins several errors. */
function aggregate(messages: readonly string[]): string {
  return messages.length === 1 ? (messages[0] as string) : `[${messages.join(', ')}]`
}
