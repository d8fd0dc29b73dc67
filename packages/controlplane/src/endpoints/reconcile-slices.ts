/** Keeps the EndpointSlices of Services, and their Endpoints. */
import {
  type Client,
  type Informers,
  isAlreadyExists,
  isConflict,
  isNotFound,
  type PodObject,
  resources,
  splitKey,
} from '@caisson/client'
import { planEndpoints } from './plan-endpoints.ts'
import { planMirror } from './plan-mirror.ts'
import { planSlices, SERVICE_LABEL, type ServiceObject, type SliceObject, type SlicePlan } from './plan-slices.ts'

/** Pods and Services by what selects: one pair of a label, `NAMESPACE KEY=VALUE`. */
export const BY_LABEL = 'label'
export const SLICES_BY_SERVICE = 'service'

export interface SliceContext {
  client: Client
  informers: Informers
  signal: AbortSignal
}

export function labelPairs({ metadata }: Pick<PodObject, 'metadata'>): string[] {
  return Object.entries(metadata.labels ?? {}).map(([key, value]) => `${metadata.namespace} ${key}=${value}`)
}

/** One pair of its selector stands for it: whatever it selects carries that pair. */
export function selectorPair({ metadata, spec }: ServiceObject): string[] {
  const [first] = Object.entries(spec?.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return first ? [`${metadata.namespace} ${first[0]}=${first[1]}`] : []
}

export function serviceOfSlice({ metadata }: Pick<SliceObject, 'metadata'>): string[] {
  const service = metadata.labels?.[SERVICE_LABEL]
  return service ? [`${metadata.namespace}/${service}`] : []
}

/** Whether a change of a Pod may change an endpoint. */
export function endpointChanged(old: PodObject, pod: PodObject): boolean {
  const shown = ({ metadata, status }: PodObject): string =>
    JSON.stringify([
      metadata.labels,
      metadata.deletionTimestamp !== undefined,
      status?.podIP,
      status?.phase,
      status?.conditions?.find(({ type }) => type === 'Ready')?.status,
    ])
  return old.status !== pod.status || old.metadata !== pod.metadata ? shown(old) !== shown(pod) : false
}

/**
 * One pass over one Service. What it had goes with it, by its owner reference; slices of Endpoints that somebody wrote for
 * it do not.
 */
export async function reconcileService(key: string, context: SliceContext): Promise<void> {
  const { informers } = context
  const service = informers.of(resources.services).get(key)
  const slices = informers.of(resources.endpointSlices).byIndex(SLICES_BY_SERVICE, key)
  await writeSlices(
    key,
    planMirror({ service, endpoints: informers.of(resources.endpoints).get(key), slices }),
    context,
  )
  if (!service) return
  const [pair] = selectorPair(service)
  const pods = pair === undefined ? [] : informers.of(resources.pods).byIndex(BY_LABEL, pair)
  await writeSlices(key, planSlices(service, pods, slices), context)
  await reconcileEndpoints(key, { service, pods }, context)
}

interface Observed {
  service: ServiceObject
  pods: readonly PodObject[]
}

async function reconcileEndpoints(
  key: string,
  { service, pods }: Observed,
  { client, informers, signal }: SliceContext,
): Promise<void> {
  const all = informers.of(resources.endpoints)
  const current = all.get(key)
  const draft = planEndpoints(service, pods, current)
  if (!draft) return
  const at = { namespace: splitKey(key).namespace, signal }
  try {
    if (!current) return all.observe(await client.create(resources.endpoints, draft, at))
    all.observe(await client.update(resources.endpoints, { ...current, ...draft }, at))
  } catch (error) {
    // Its event brings the Service back here.
    if (!isConflict(error) && !isNotFound(error) && !isAlreadyExists(error)) throw error
  }
}

async function writeSlices(key: string, plan: SlicePlan, { client, informers, signal }: SliceContext): Promise<void> {
  const slices = informers.of(resources.endpointSlices)
  const at = { namespace: splitKey(key).namespace, signal }
  for (const slice of plan.create)
    slices.observe(await client.create(resources.endpointSlices, { ...slice, metadata: { ...slice.metadata } }, at))
  for (const slice of plan.update) {
    try {
      // The whole of it: a label that the Service no longer has goes.
      slices.observe(await client.update(resources.endpointSlices, slice, at))
    } catch (error) {
      // Its event brings the Service back here.
      if (!isConflict(error) && !isNotFound(error)) throw error
    }
  }
  for (const slice of plan.remove) {
    const { name = '', uid } = slice.metadata
    try {
      await client.delete(resources.endpointSlices, name, { ...at, ...(uid && { preconditions: { uid } }) })
      slices.observeDeletion(slice)
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error
    }
  }
}
