/** What a HorizontalPodAutoscaler makes of a load: the next size of its target, and what its status says. */
import { kubernetesTime } from '@caisson/api'
import type { Typed } from '@caisson/client'
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  MetricSpec,
} from 'kubernetes-types/autoscaling/v2.d.ts'
import {
  createReplicaCalculator,
  type Load,
  MetricsError,
  type Recommendation,
  type ResourceTarget,
} from './resource-replicas.ts'
import { type ConditionState, nextSize, type ScalingHistory } from './scaling-behavior.ts'

export type Autoscaler = Typed<HorizontalPodAutoscaler>

export interface ObservedTarget {
  autoscaler: Autoscaler
  currentReplicas: number
  /** Its Pods with their metrics, or why there are none. */
  load: Pick<Load, 'pods' | 'metrics'> | Error
  history: ScalingHistory
}

export interface AutoscalerPlan {
  /** The new size, where it is another. */
  rescale?: { replicas: number; reason: string }
  status: object
  events: { type: 'Normal' | 'Warning'; reason: string; message: string }[]
}

const GOT_SCALE: ConditionState = {
  type: 'AbleToScale',
  status: 'True',
  reason: 'SucceededGetScale',
  message: "the HPA controller was able to get the target's current scale",
}

/** Adds to the history it is given; otherwise pure. */
export function planAutoscaler(observed: ObservedTarget, now: number): AutoscalerPlan {
  const { autoscaler, currentReplicas, history } = observed
  // What was recommended before the first look is not known: as Kubernetes has it, as many as there are.
  if (history.recommendations.length === 0) history.recommendations.push({ time: now, replicas: currentReplicas })
  const spec = autoscaler.spec as HorizontalPodAutoscalerSpec
  const minReplicas = spec.minReplicas ?? 1
  if (currentReplicas === 0 && minReplicas !== 0) {
    const message = 'scaling is disabled since the replica count of the target is zero'
    const disabled: ConditionState = { type: 'ScalingActive', status: 'False', reason: 'ScalingDisabled', message }
    return { status: statusOf(observed, { desired: 0, conditions: [GOT_SCALE, disabled], now }), events: [] }
  }
  if (currentReplicas > spec.maxReplicas)
    return outOfRange(observed, spec.maxReplicas, 'Current number of replicas above Spec.MaxReplicas', now)
  if (currentReplicas < minReplicas)
    return outOfRange(observed, minReplicas, 'Current number of replicas below Spec.MinReplicas', now)
  const measured = measure(observed, now)
  if (measured.best === undefined) return withoutMetrics(observed, measured, now)
  const { best, name } = measured
  const active: ConditionState = {
    type: 'ScalingActive',
    status: 'True',
    reason: 'ValidMetricFound',
    message: `the HPA was able to successfully calculate a replica count from ${name}`,
  }
  // Where some metrics are missing, the others may ask for more, but not for less.
  const desired = measured.failures.length > 0 ? Math.max(best, currentReplicas) : best
  const { replicas, conditions } = nextSize(spec, { current: currentReplicas, desired, now }, history)
  const reason = replicas > currentReplicas ? `${name} above target` : 'All metrics below target'
  return {
    ...(replicas !== currentReplicas && { rescale: { replicas, reason } }),
    status: statusOf(observed, {
      desired: replicas,
      conditions: [GOT_SCALE, ...conditions, active],
      currentMetrics: measured.statuses,
      now,
    }),
    events: measured.failures,
  }
}

function outOfRange(observed: ObservedTarget, replicas: number, reason: string, now: number): AutoscalerPlan {
  return {
    rescale: { replicas, reason },
    status: statusOf(observed, { desired: replicas, conditions: [GOT_SCALE], now }),
    events: [],
  }
}

interface Measured {
  best?: number
  name: string
  statuses: object[]
  failures: AutoscalerPlan['events']
}

function measure({ autoscaler, currentReplicas, load }: ObservedTarget, now: number): Measured {
  const result: Measured = { name: '', statuses: [], failures: [] }
  const replicasFor = load instanceof Error ? undefined : createReplicaCalculator({ ...load, currentReplicas, now })
  for (const metric of autoscaler.spec?.metrics ?? []) {
    const target = targetOf(metric)
    const { reason, what } = describe(metric)
    try {
      if (!target) throw new MetricsError(`metrics of type ${metric.type} are not served`)
      if (!replicasFor) throw load
      const recommendation = replicasFor(target)
      result.statuses.push(statusOfMetric(metric, recommendation))
      if (result.best === undefined || recommendation.replicas > result.best) {
        result.best = recommendation.replicas
        result.name = nameOf(metric)
      }
    } catch (error) {
      const message = `failed to get ${what}: ${(error as Error).message}`
      result.failures.push({ type: 'Warning', reason, message })
    }
  }
  return result
}

function targetOf({ resource, containerResource }: MetricSpec): ResourceTarget | undefined {
  const source = resource ?? containerResource
  if (!source) return undefined
  const { averageUtilization, averageValue } = source.target
  return {
    resource: source.name,
    ...(containerResource && { container: containerResource.container }),
    ...(averageUtilization !== undefined && { averageUtilization }),
    ...(averageValue !== undefined && { averageValue: averageValue as string }),
  }
}

function describe({ type, resource, containerResource }: MetricSpec): { reason: string; what: string } {
  const source = resource ?? containerResource
  const kind = source?.target.averageUtilization === undefined ? 'resource metric value' : 'utilization'
  const reasons: Readonly<Record<string, string>> = {
    Resource: 'FailedGetResourceMetric',
    ContainerResource: 'FailedGetContainerResourceMetric',
    Pods: 'FailedGetPodsMetric',
    Object: 'FailedGetObjectMetric',
    External: 'FailedGetExternalMetric',
  }
  return { reason: reasons[type] ?? 'InvalidMetricSourceType', what: `${source?.name ?? type.toLowerCase()} ${kind}` }
}

function nameOf({ resource, containerResource }: MetricSpec): string {
  const source = resource ?? containerResource
  const raw = source?.target.averageUtilization === undefined
  const kind = containerResource ? 'container resource' : 'resource'
  return raw ? `${source?.name} ${kind}` : `${source?.name} ${kind} utilization (percentage of request)`
}

function statusOfMetric({ type, resource, containerResource }: MetricSpec, found: Recommendation): object {
  const current = {
    averageValue: amount(found.averageValue, (resource ?? containerResource)?.name),
    ...(found.averageUtilization !== undefined && { averageUtilization: found.averageUtilization }),
  }
  return resource
    ? { type, resource: { name: resource.name, current } }
    : { type, containerResource: { name: containerResource?.name, container: containerResource?.container, current } }
}

/** CPU in thousandths, everything else whole. */
function amount(value: number, resource: string | undefined): string {
  return resource === 'cpu' ? `${Math.ceil(value * 1000)}m` : String(Math.ceil(value))
}

function withoutMetrics(observed: ObservedTarget, { failures }: Measured, now: number): AutoscalerPlan {
  const [first] = failures
  const total = failures.length
  const message = `the HPA was unable to compute the replica count: ${first?.message}`
  const inactive: ConditionState = { type: 'ScalingActive', status: 'False', reason: first?.reason ?? '', message }
  const invalid = `invalid metrics (${total} invalid out of ${total}), first error is: ${first?.message}`
  return {
    status: statusOf(observed, {
      desired: observed.autoscaler.status?.desiredReplicas ?? 0,
      conditions: [GOT_SCALE, inactive],
      now,
    }),
    events: [...failures, { type: 'Warning', reason: 'FailedComputeMetricsReplicas', message: invalid }],
  }
}

interface StatusParts {
  desired: number
  conditions: readonly ConditionState[]
  currentMetrics?: readonly object[]
  now: number
}

function statusOf(
  { autoscaler, currentReplicas }: ObservedTarget,
  { desired, conditions, currentMetrics, now }: StatusParts,
): object {
  const before = autoscaler.status
  return {
    ...(currentReplicas > 0 && { currentReplicas }),
    desiredReplicas: desired,
    currentMetrics: currentMetrics?.length ? currentMetrics : null,
    ...(before?.lastScaleTime && { lastScaleTime: before.lastScaleTime }),
    conditions: withConditions(before?.conditions ?? [], conditions, now),
  }
}

/** Later ones of the same type win; what keeps its status keeps when that was. */
export function withConditions(
  current: readonly { type: string; status: string; lastTransitionTime?: unknown }[],
  states: readonly ConditionState[],
  now: number,
): object[] {
  const merged = new Map<string, object>(current.map((condition) => [condition.type, condition]))
  for (const next of states) {
    const known = current.find(({ type }) => type === next.type)
    const lastTransitionTime = known?.status === next.status ? known.lastTransitionTime : kubernetesTime(now)
    merged.set(next.type, { ...next, lastTransitionTime })
  }
  return [...merged.values()]
}
