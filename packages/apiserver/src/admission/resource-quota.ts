/**
 * ResourceQuotas: an object that would take more than is left is refused, and what it takes is noted in the same
 * transaction that stores it. So two requests can never both take the last of something.
 */
import { hasPodLevelResources } from '../quota/pod-resources.ts'
import {
  type Amounts,
  addAmounts,
  amountsOf,
  increase,
  masked,
  printedAmounts,
  toResourceList,
} from '../quota/resource-amounts.ts'
import { inScope, isCounted, missingResources, namesOf, usageOf } from '../quota/usage.ts'
import type { ResourceQuota } from '../registry/builtin/resource-quota.ts'
import { resourceKey } from '../registry/registry.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'

const QUOTAS = 'resourcequotas'

/** @param now ms since the epoch */
export function chargeQuotas(request: AdmissionRequest, now: number): void {
  const { object, oldObject, namespace, resource, transaction, operation } = request
  if (!object || !transaction || namespace === '' || !resource.namespaced) return
  const key = resourceKey(resource)
  if (!isCounted(key) || !handles(request, key)) return
  const quotas = [...transaction.list(QUOTAS, namespace)] as ResourceQuota[]
  if (quotas.length === 0) return
  const usage = usageOf(key, object, now)
  const before = operation === 'UPDATE' && oldObject ? usageOf(key, oldObject, now) : undefined
  const charged: ResourceQuota[] = []
  for (const quota of quotas) {
    const names = namesOf(key, new Set(Object.keys(quota.status?.hard ?? {})))
    if (names.length === 0 || !inScope(key, object, quota)) continue
    checkStated(request, quota, names)
    const delta = before && oldObject && inScope(key, oldObject, quota) ? increase(usage, before) : usage
    const next = charge(request, quota, { names, delta })
    if (next) charged.push(next)
  }
  if (request.dryRun) return
  for (const quota of charged) transaction.put(QUOTAS, quota)
}

/** What of an object's life can change what it takes. */
function handles({ operation, subresource, object, oldObject }: AdmissionRequest, key: string): boolean {
  if (key === 'pods') {
    if (subresource === 'resize') return operation === 'UPDATE'
    if (subresource !== '') return false
    if (operation === 'CREATE') return true
    const terminates = (pod: typeof object): boolean => pod !== undefined && specOf(pod).activeDeadlineSeconds != null
    return operation === 'UPDATE' && terminates(object) !== terminates(oldObject)
  }
  if (subresource !== '') return false
  const changes = key === 'services' || key === 'persistentvolumeclaims'
  return operation === 'CREATE' || (changes && operation === 'UPDATE')
}

function checkStated(request: AdmissionRequest, quota: ResourceQuota, names: readonly string[]): void {
  const { name } = quota.metadata
  if (request.resource.plural === 'pods' && request.resource.group === '' && request.object) {
    const spec = specOf(request.object)
    const missing = hasPodLevelResources(spec) ? undefined : missingResources(spec, names)
    if (missing !== undefined) throw refuse(request, `failed quota: ${name}: ${missing}`)
  }
  const known = quota.status?.used ?? {}
  if (names.every((each) => Object.hasOwn(known, each))) return
  throw refuse(request, `status unknown for quota: ${name}, resources: ${[...names].sort().join(',')}`)
}

/** The quota with what is taken noted; undefined where it is nothing. */
function charge(
  request: AdmissionRequest,
  quota: ResourceQuota,
  { names, delta }: { names: readonly string[]; delta: Amounts },
): ResourceQuota | undefined {
  const asked = new Map([...masked(delta, names)].filter(([, { nano }]) => nano !== 0n))
  if (asked.size === 0) return undefined
  // Of what it names, which may be thousands, only what is asked for.
  const [hard, used] = [amountsOf(quota.status?.hard, names), amountsOf(quota.status?.used, names)]
  const next = new Map(used)
  addAmounts(next, asked)
  const exceeded = [...asked.keys()].filter((name) => (next.get(name)?.nano ?? 0n) > (hard.get(name)?.nano ?? 0n))
  if (exceeded.length > 0) {
    throw refuse(
      request,
      `exceeded quota: ${quota.metadata.name}, requested: ${printedAmounts(masked(asked, exceeded))}, used: ${printedAmounts(masked(used, exceeded))}, limited: ${printedAmounts(masked(hard, exceeded))}`,
    )
  }
  return {
    ...quota,
    metadata: { ...quota.metadata },
    status: { ...quota.status, used: { ...quota.status?.used, ...toResourceList(next) } },
  }
}
