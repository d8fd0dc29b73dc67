/** How many Pods a load asks for, by what the Pods use of a resource: Kubernetes' replica calculator. */
import { parseQuantity } from '@caisson/api'
import type { PodObject } from '@caisson/client'

/** What metrics.k8s.io says of a Pod. */
export interface PodMetrics {
  metadata: { name: string }
  timestamp: string
  /** A Go duration, such as `15s`. */
  window?: string
  containers: readonly { name: string; usage: Readonly<Record<string, string>> }[]
}

export interface ResourceTarget {
  /** `cpu`, `memory`. */
  resource: string
  /** One container alone; all of them where not given. */
  container?: string
  /** Percent of what the Pods ask for. */
  averageUtilization?: number
  /** Of each Pod. */
  averageValue?: string
}

export interface Load {
  pods: readonly PodObject[]
  metrics: readonly PodMetrics[]
  currentReplicas: number
  /** ms since the epoch. */
  now: number
}

export interface Recommendation {
  replicas: number
  /** Of each Pod on average, in the resource's base unit. */
  averageValue: number
  /** Percent of the requests, where the target is one. */
  averageUtilization?: number
}

/** Why no number can be given. */
export class MetricsError extends Error {
  override readonly name = 'MetricsError'
  readonly code = 'NO_METRICS'
}

const TOLERANCE = 0.1
const CPU_INITIALIZATION = 300_000
const INITIAL_READINESS = 30_000

/**
 * Says for one target after the other how many Pods the load asks for: an autoscaler may have thousands, and what the Pods use
 * and ask for is the same for all that are about the same. What is said throws a `MetricsError` where no number can be given.
 */
export function createReplicaCalculator(load: Load): (target: ResourceTarget) => Recommendation {
  const readings = remember(({ resource, container }) => readingOf(load, resource, container))
  const requests = remember(
    ({ resource, container }) =>
      new Map(load.pods.map((pod) => [pod.metadata.name ?? '', requestOf(pod, resource, container)])),
  )
  return (target) =>
    recommend(target, load, {
      ...readings(target),
      requests: target.averageUtilization === undefined ? NO_REQUESTS : requests(target),
    })
}

const NO_REQUESTS: ReadonlyMap<string, number> = new Map()

/** Done once for each resource and container, whatever comes of it. */
function remember<T>(work: (target: ResourceTarget) => T): (target: ResourceTarget) => T {
  const known = new Map<string, { value: T } | { error: unknown }>()
  const attempt = (target: ResourceTarget): { value: T } | { error: unknown } => {
    try {
      return { value: work(target) }
    } catch (error) {
      return { error }
    }
  }
  return (target) => {
    const key = JSON.stringify([target.resource, target.container])
    const outcome = known.get(key) ?? attempt(target)
    known.set(key, outcome)
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
}

interface Reading {
  groups: Groups
  /** What the Pods use that count. */
  counted: ReadonlyArray<readonly [string, number]>
}

function readingOf(load: Load, resource: string, container: string | undefined): Reading {
  const usage = usageOf(load.metrics, resource, container)
  if (usage.size === 0 || load.pods.length === 0) {
    throw new MetricsError(`no metrics returned from resource metrics API`)
  }
  const groups = groupPods(load, usage, resource)
  const counted = [...usage].filter(([name]) => groups.ready.has(name))
  if (counted.length === 0) {
    throw new MetricsError('did not receive metrics for targeted pods (pods might be unready)')
  }
  return { groups, counted }
}

function recommend(
  target: ResourceTarget,
  load: Load,
  { groups, counted, requests }: Reading & { requests: ReadonlyMap<string, number> },
): Recommendation {
  const weigh = (values: Iterable<readonly [string, number]>): Weighed => weighed(new Map(values), requests, target)
  const first = weigh(counted)
  const result = {
    averageValue: first.averageValue,
    ...(first.percent !== undefined && { averageUtilization: first.percent }),
  }
  const withUnready = groups.unready.size > 0 && first.ratio > 1
  if (!withUnready && groups.missing.size === 0) {
    const replicas = isTolerable(first.ratio) ? load.currentReplicas : Math.ceil(first.ratio * counted.length)
    return { replicas, ...result }
  }
  // What is not known is taken so that as little changes as can be.
  const completed = new Map(counted)
  for (const name of groups.missing) {
    if (first.ratio < 1) completed.set(name, assumed(requests.get(name), target))
    else if (first.ratio > 1) completed.set(name, 0)
  }
  if (withUnready) for (const name of groups.unready) completed.set(name, 0)
  const { ratio } = weigh(completed)
  const turned = (first.ratio < 1 && ratio > 1) || (first.ratio > 1 && ratio < 1)
  const replicas = Math.ceil(ratio * completed.size)
  const against = (ratio < 1 && replicas > load.currentReplicas) || (ratio > 1 && replicas < load.currentReplicas)
  if (isTolerable(ratio) || turned || against) return { replicas: load.currentReplicas, ...result }
  return { replicas, ...result }
}

function isTolerable(ratio: number): boolean {
  return Math.abs(ratio - 1) <= TOLERANCE
}

/** Of each Pod, in the base unit; Pods of which not all containers are measured are left out. */
function usageOf(metrics: readonly PodMetrics[], resource: string, container: string | undefined): Map<string, number> {
  const usage = new Map<string, number>()
  for (const { metadata, containers } of metrics) {
    const measured = containers.filter(({ name }) => container === undefined || name === container)
    if (container !== undefined && measured.length === 0) {
      throw new MetricsError(`container ${container} not present in metrics for pod ${metadata.name}`)
    }
    const values = measured.map(({ usage: used }) => parseQuantity(used[resource] ?? ''))
    if (values.length === 0 || values.includes(undefined)) continue
    usage.set(
      metadata.name,
      (values as number[]).reduce((total, each) => total + each, 0),
    )
  }
  return usage
}

interface Groups {
  ready: ReadonlySet<string>
  unready: ReadonlySet<string>
  missing: ReadonlySet<string>
}

function groupPods({ pods, metrics, now }: Load, usage: ReadonlyMap<string, number>, resource: string): Groups {
  const ready = new Set<string>()
  const unready = new Set<string>()
  const missing = new Set<string>()
  const measured = new Map(metrics.map((metric) => [metric.metadata.name, metric]))
  for (const pod of pods) {
    const name = pod.metadata.name ?? ''
    const { phase } = pod.status ?? {}
    if (pod.metadata.deletionTimestamp !== undefined || phase === 'Failed') continue
    if (phase === 'Pending') unready.add(name)
    else if (!usage.has(name)) missing.add(name)
    else if (resource === 'cpu' && isWarmingUp(pod, measured.get(name) as PodMetrics, now)) unready.add(name)
    else ready.add(name)
  }
  return { ready, unready, missing }
}

/** What a Pod uses while it starts says nothing of its load. */
function isWarmingUp({ status }: PodObject, metric: PodMetrics, now: number): boolean {
  const condition = status?.conditions?.find(({ type }) => type === 'Ready')
  const started = Date.parse((status?.startTime as string | undefined) ?? '')
  if (!condition || Number.isNaN(started)) return true
  const changed = Date.parse((condition.lastTransitionTime as string | undefined) ?? '')
  if (started + CPU_INITIALIZATION > now) {
    const window = Number.parseFloat(metric.window ?? '0') * 1000
    return condition.status === 'False' || Date.parse(metric.timestamp) < changed + window
  }
  return condition.status === 'False' && started + INITIAL_READINESS > changed
}

/** What a Pod asks for, which it has to say. */
function requestOf(pod: PodObject, resource: string, container: string | undefined): number {
  const containers = [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
  ].filter(({ name }) => container === undefined || name === container)
  return containers.reduce((total, { name, resources }) => {
    const request = parseQuantity(resources?.requests?.[resource] ?? '')
    if (request === undefined) {
      throw new MetricsError(`missing request for ${resource} in container ${name} of Pod ${pod.metadata.name}`)
    }
    return total + request
  }, 0)
}

interface Weighed {
  ratio: number
  averageValue: number
  percent?: number
}

function weighed(
  usage: ReadonlyMap<string, number>,
  requests: ReadonlyMap<string, number>,
  { averageUtilization, averageValue }: ResourceTarget,
): Weighed {
  let used = 0
  let requested = 0
  for (const [name, value] of usage) {
    used += value
    requested += requests.get(name) ?? 0
  }
  const average = used / usage.size
  if (averageUtilization === undefined) {
    const wanted = parseQuantity(averageValue ?? '') || 1
    return { ratio: average / wanted, averageValue: average }
  }
  if (requested === 0) throw new MetricsError('no metrics returned matched known pods')
  const percent = Math.floor((used * 100) / requested)
  return { ratio: percent / averageUtilization, averageValue: average, percent }
}

/** What a Pod without metrics is taken to use when there might be too many: all that it asks for, or its share. */
function assumed(request: number | undefined, { averageUtilization, averageValue }: ResourceTarget): number {
  if (averageUtilization === undefined) return parseQuantity(averageValue ?? '') ?? 0
  return ((request ?? 0) * Math.max(100, averageUtilization)) / 100
}
