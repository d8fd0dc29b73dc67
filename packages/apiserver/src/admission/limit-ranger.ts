/** LimitRanges: what containers ask for where they say nothing, and the bounds of what may be asked for. */
import type { KubeObject } from '@caisson/api'
import { podAmounts, resourcesOf } from '../quota/pod-resources.ts'
import { amountsOf } from '../quota/resource-amounts.ts'
import type { LimitRange, LimitRangeItem } from '../registry/builtin/limit-range.ts'
import type { ResourceList } from '../registry/builtin/resource-requirements.ts'
import { formatQuantity, type Quantity } from '../registry/quantity.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { type Container, list, specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'

const ANNOTATION = 'kubernetes.io/limit-ranger'

/** Fills what a new Pod leaves open. */
export function applyLimitRanges(request: AdmissionRequest, store: Pick<Store, 'list'>): void {
  const { object: pod } = request
  if (!pod) return
  for (const range of rangesOf(request, store)) {
    const limits: Record<string, string> = {}
    const requests: Record<string, string> = {}
    for (const item of range.spec?.limits ?? []) {
      if (item.type !== 'Container') continue
      Object.assign(limits, item.default)
      Object.assign(requests, item.defaultRequest)
    }
    const spec = specOf(pod)
    const said = [
      ...list(spec.containers).flatMap((each) => fill(each, { limits, requests }, 'container')),
      ...list(spec.initContainers).flatMap((each) => fill(each, { limits, requests }, 'init container')),
    ]
    if (said.length === 0) continue
    const { metadata } = pod
    metadata.annotations = { ...metadata.annotations, [ANNOTATION]: `LimitRanger plugin set: ${said.join('; ')}` }
  }
}

function fill(
  container: Container,
  defaults: { limits: ResourceList; requests: ResourceList },
  what: string,
): string[] {
  const resources = ((container as { resources?: Record<string, Record<string, string>> | null }).resources ??= {})
  return (['requests', 'limits'] as const).flatMap((side) => {
    const own = resources[side] ?? {}
    const missing = Object.keys(defaults[side]).filter((name) => !Object.hasOwn(own, name))
    if (missing.length === 0) return []
    resources[side] = { ...own, ...Object.fromEntries(missing.map((name) => [name, defaults[side][name] as string])) }
    return [`${missing.sort().join(', ')} ${side.slice(0, -1)} for ${what} ${container.name}`]
  })
}

/** Refuses what is out of bounds: of a new Pod, or of a claim. */
export function enforceLimitRanges(request: AdmissionRequest, store: Pick<Store, 'list'>): void {
  const { object, oldObject } = request
  if (!object || oldObject?.metadata.deletionTimestamp !== undefined) return
  const isPod = request.resource.plural === 'pods'
  for (const range of rangesOf(request, store)) {
    const said = (range.spec?.limits ?? []).flatMap((item) =>
      isPod ? violationsOfPod(object, item) : violationsOfClaim(object, item),
    )
    if (said.length > 0) throw refuse(request, said.length === 1 ? (said[0] as string) : `[${said.join(', ')}]`)
  }
}

/** Of names in ranges, each looked at in each container: a tenth of a second. */
const MOST_JUDGED = 500_000

/** Throws Forbidden where there are too many of them to look at. */
function rangesOf(request: AdmissionRequest, store: Pick<Store, 'list'>): readonly LimitRange[] {
  const ranges = [...store.list('limitranges', request.namespace)] as LimitRange[]
  const { containers, initContainers } = specOf(request.object as KubeObject)
  const judged = Math.max(1, list(containers).length + list(initContainers).length)
  let names = 0
  for (const { spec } of ranges)
    for (const { type: _type, ...lists } of spec?.limits ?? []) {
      for (const each of Object.values(lists)) names += Object.keys(each ?? {}).length
      if (names * judged > MOST_JUDGED)
        throw refuse(request, `the LimitRanges of the namespace name too many resources for its ${judged} containers`)
    }
  return ranges
}

interface Asked {
  requests: ReadonlyMap<string, Quantity>
  limits: ReadonlyMap<string, Quantity>
}

function violationsOfPod(pod: KubeObject, item: LimitRangeItem): string[] {
  const spec = specOf(pod)
  if (item.type === 'Container')
    return [...list(spec.containers), ...list(spec.initContainers)].flatMap((container) =>
      violations(item, {
        requests: amountsOf(resourcesOf(container, 'requests')),
        limits: amountsOf(resourcesOf(container, 'limits')),
      }),
    )
  if (item.type !== 'Pod') return []
  return violations(item, { requests: podAmounts(spec, 'requests', false), limits: podAmounts(spec, 'limits', false) })
}

function violationsOfClaim(claim: KubeObject, item: LimitRangeItem): string[] {
  if (item.type !== 'PersistentVolumeClaim') return []
  const { resources } = (claim.spec ?? {}) as { resources?: { requests?: ResourceList } }
  const requests = amountsOf(resources?.requests)
  return [
    ...violations({ type: item.type, min: item.min ?? {} }, { requests, limits: new Map() }),
    ...each(item.max, (name, enforced, shown) => {
      const request = requests.get(name)
      const start = `maximum ${name} usage per ${item.type} is ${shown}`
      if (!request) return `${start}.  No request is specified`
      return request.nano > enforced.nano ? `${start}, but request is ${formatQuantity(request)}` : undefined
    }),
  ]
}

function violations({ type, min, max, maxLimitRequestRatio }: LimitRangeItem, asked: Asked): string[] {
  const { requests, limits } = asked
  return [
    ...each(min, (name, enforced, shown) => {
      const [request, limit] = [requests.get(name), limits.get(name)]
      const start = `minimum ${name} usage per ${type} is ${shown}`
      if (!request) return `${start}.  No request is specified`
      if (request.nano < enforced.nano) return `${start}, but request is ${formatQuantity(request)}`
      return limit && limit.nano < enforced.nano ? `${start}, but limit is ${formatQuantity(limit)}` : undefined
    }),
    ...each(max, (name, enforced, shown) => {
      const [request, limit] = [requests.get(name), limits.get(name)]
      const start = `maximum ${name} usage per ${type} is ${shown}`
      if (!limit) return `${start}.  No limit is specified`
      if (limit.nano > enforced.nano) return `${start}, but limit is ${formatQuantity(limit)}`
      return request && request.nano > enforced.nano ? `${start}, but request is ${formatQuantity(request)}` : undefined
    }),
    ...each(maxLimitRequestRatio, (name, enforced, shown) => {
      const [request, limit] = [requests.get(name), limits.get(name)]
      const start = `${name} max limit to request ratio per ${type} is ${shown}`
      if (!request?.nano) return `${start}, but no request is specified or request is 0`
      if (!limit?.nano) return `${start}, but no limit is specified or limit is 0`
      const ratio = Number(limit.nano) / Number(request.nano)
      return ratio * 1e9 > Number(enforced.nano) ? `${start}, but provided ratio is ${ratio.toFixed(6)}` : undefined
    }),
  ]
}

function each(
  bounds: ResourceList | undefined,
  judge: (name: string, enforced: Quantity, shown: string) => string | undefined,
): string[] {
  return [...amountsOf(bounds)].flatMap(([name, enforced]) => judge(name, enforced, formatQuantity(enforced)) ?? [])
}
