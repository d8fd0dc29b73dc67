/** The least that has to be sent so that a Pod's status becomes what it should be: a strategic merge patch. */
import type { PodCondition, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { jsonEqual } from './json-equal.ts'
import { NODE_CONDITIONS, PASSING_CONDITIONS } from './pod-conditions.ts'

/** Fields whose lists are merged by a key on the server: replaced as a whole only when told so. */
const KEYED_LISTS: ReadonlySet<string> = new Set(['podIPs', 'hostIPs'])
/** What others write. */
const FOREIGN: ReadonlySet<string> = new Set(['nominatedNodeName', 'resize', 'resourceClaimStatuses'])

/** Undefined where nothing has to change. */
export function statusPatch(current: PodStatus = {}, wanted: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {}
  const before = current as Record<string, unknown>
  const after = wanted as Record<string, unknown>
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (FOREIGN.has(field) || field === 'conditions') continue
    if (jsonEqual(before[field], after[field])) continue
    const value = after[field]
    if (value === undefined) patch[field] = null
    else if (KEYED_LISTS.has(field) && before[field] !== undefined)
      patch[field] = [{ $patch: 'replace' }, ...(value as object[])]
    else patch[field] = value
  }
  const conditions = conditionPatches(current.conditions ?? [], wanted.conditions ?? [])
  if (conditions.length > 0) patch['conditions'] = conditions
  return Object.keys(patch).length > 0 ? patch : undefined
}

/** Merged by type on the server, so that those of others are not even mentioned. */
function conditionPatches(before: readonly PodCondition[], after: readonly PodCondition[]): object[] {
  // It must not be there from an earlier time when somebody wants to know again.
  const stale = before.filter(
    ({ type }) => PASSING_CONDITIONS.includes(type) && !after.some((condition) => condition.type === type),
  )
  const changed = after.flatMap((condition) => {
    if (!NODE_CONDITIONS.includes(condition.type)) return []
    const known = before.find(({ type }) => type === condition.type)
    if (known && same(known, condition)) return []
    const gone = Object.keys(known ?? {}).filter((field) => !(field in condition) && field !== 'lastProbeTime')
    return [{ ...condition, ...Object.fromEntries(gone.map((field) => [field, null])) }]
  })
  return [...changed, ...stale.map(({ type }) => ({ type, $patch: 'delete' }))]
}

function same(known: PodCondition, wanted: PodCondition): boolean {
  const { lastProbeTime: _, ...rest } = known
  return jsonEqual(rest, { ...wanted })
}
