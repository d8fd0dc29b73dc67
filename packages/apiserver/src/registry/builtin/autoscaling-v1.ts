/** HorizontalPodAutoscaler as autoscaling/v1 shows it: one CPU target, and annotations for all that it has no field for. */
import type { KubeObject } from '@caisson/api'
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus } from 'kubernetes-types/autoscaling/v2.js'
import type { Strategy } from '../resource.ts'
import { horizontalPodAutoscalerStrategy } from './horizontal-pod-autoscaler.ts'
import { keepSpec } from './replica-set.ts'

const PREFIX = 'autoscaling.alpha.kubernetes.io/'
const METRICS = `${PREFIX}metrics`
const CURRENT_METRICS = `${PREFIX}current-metrics`
const CONDITIONS = `${PREFIX}conditions`
const BEHAVIOR = `${PREFIX}behavior`

type Loose = Record<string, unknown>
type V2 = HorizontalPodAutoscaler & KubeObject

function isCpuTarget({ type, resource }: MetricSpec): boolean {
  return type === 'Resource' && resource?.name === 'cpu' && resource.target.averageUtilization !== undefined
}

/** A stored autoscaler as clients of autoscaling/v1 see it. */
export function toAutoscalingV1(stored: KubeObject): KubeObject {
  const { spec, status, metadata } = stored as V2
  const cpu = spec?.metrics?.find(isCpuTarget)?.resource?.target.averageUtilization
  const others = (spec?.metrics ?? []).filter((metric) => !isCpuTarget(metric))
  const used = status?.currentMetrics?.find(({ resource }) => resource?.name === 'cpu')?.resource?.current
  const kept: Record<string, string> = { ...withoutOurs(metadata.annotations) }
  if (others.length) kept[METRICS] = JSON.stringify(others.map(flatMetric))
  if (status?.currentMetrics?.length) kept[CURRENT_METRICS] = JSON.stringify(status.currentMetrics.map(flatStatus))
  if (status?.conditions?.length) kept[CONDITIONS] = JSON.stringify(status.conditions)
  if (spec?.behavior) kept[BEHAVIOR] = JSON.stringify(mapKeys(spec.behavior, (key) => key.replace(/^[a-z]/, upper)))
  const { annotations: _annotations, ...rest } = metadata
  return {
    ...stored,
    apiVersion: 'autoscaling/v1',
    metadata: { ...rest, ...(Object.keys(kept).length > 0 && { annotations: kept }) },
    spec: {
      scaleTargetRef: spec?.scaleTargetRef,
      ...(spec?.minReplicas !== undefined && { minReplicas: spec.minReplicas }),
      maxReplicas: spec?.maxReplicas,
      ...(cpu !== undefined && { targetCPUUtilizationPercentage: cpu }),
    },
    status: {
      ...(status?.lastScaleTime && { lastScaleTime: status.lastScaleTime }),
      currentReplicas: status?.currentReplicas ?? 0,
      desiredReplicas: status?.desiredReplicas ?? 0,
      ...(used?.averageUtilization !== undefined && { currentCPUUtilizationPercentage: used.averageUtilization }),
    },
  } as unknown as KubeObject
}

/** An autoscaler of autoscaling/v1 as it is stored. */
export function fromAutoscalingV1(object: KubeObject): KubeObject {
  const { metadata } = object
  const spec = (object['spec'] ?? {}) as Loose
  const status = (object['status'] ?? {}) as Loose
  const annotations = metadata.annotations ?? {}
  const cpu = spec['targetCPUUtilizationPercentage'] as number | undefined
  const metrics: unknown[] = listIn(annotations[METRICS]).map(nestedMetric)
  if (cpu !== undefined) {
    metrics.push({
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: cpu } },
    })
  }
  const behavior = parsed(annotations[BEHAVIOR])
  const currentMetrics = listIn(annotations[CURRENT_METRICS]).map(nestedStatus)
  const conditions = listIn(annotations[CONDITIONS])
  const { annotations: _annotations, ...rest } = metadata
  const kept = withoutOurs(annotations)
  const { currentCPUUtilizationPercentage: _used, currentReplicas, ...counts } = status
  const stored = {
    ...object,
    apiVersion: 'autoscaling/v2',
    metadata: { ...rest, ...(Object.keys(kept).length > 0 && { annotations: kept }) },
    spec: {
      scaleTargetRef: spec['scaleTargetRef'],
      ...(spec['minReplicas'] !== undefined && { minReplicas: spec['minReplicas'] }),
      maxReplicas: spec['maxReplicas'],
      ...(metrics.length > 0 && { metrics }),
      ...(isRecord(behavior) && { behavior: mapKeys(behavior, (key) => key.replace(/^[A-Z]/, lower)) }),
    },
    status: {
      ...counts,
      ...(currentReplicas !== 0 && currentReplicas !== undefined && { currentReplicas }),
      desiredReplicas: counts['desiredReplicas'] ?? 0,
      currentMetrics: currentMetrics.length > 0 ? currentMetrics : null,
      ...(conditions.length > 0 && { conditions }),
    },
  } as KubeObject
  horizontalPodAutoscalerStrategy.defaults?.(stored)
  return stored
}

const { validate, validateUpdate } = horizontalPodAutoscalerStrategy

export const autoscalingV1Strategy: Strategy = {
  generation: false,
  defaults(object) {
    const spec = object['spec'] as { minReplicas?: number }
    spec.minReplicas ??= 1
  },
  prepareForCreate(object) {
    object.status = { currentReplicas: 0, desiredReplicas: 0 }
    dropStatusAnnotations(object)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropStatusAnnotations(next)
    for (const key of [CURRENT_METRICS, CONDITIONS]) {
      const value = current.metadata.annotations?.[key]
      if (value !== undefined) next.metadata.annotations = { ...next.metadata.annotations, [key]: value }
    }
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validate?.(fromAutoscalingV1(object)) ?? [],
  validateUpdate: (next, current) => validateUpdate?.(fromAutoscalingV1(next), fromAutoscalingV1(current)) ?? [],
}

/** What has been measured is not for those to say who write the spec. */
function dropStatusAnnotations({ metadata }: KubeObject): void {
  delete metadata.annotations?.[CURRENT_METRICS]
  delete metadata.annotations?.[CONDITIONS]
}

function withoutOurs(annotations: Readonly<Record<string, string>> = {}): Record<string, string> {
  const ours = [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR]
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !ours.includes(key)))
}

function upper(letter: string): string {
  return letter.toUpperCase()
}

function lower(letter: string): string {
  return letter.toLowerCase()
}

function isRecord(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Annotations are anybody's text: what cannot be read says nothing. */
function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function listIn(text: string | undefined): Loose[] {
  const list = parsed(text)
  return Array.isArray(list) ? list.filter(isRecord) : []
}

function mapKeys(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, rename))
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [rename(key), mapKeys(field, rename)]))
}

function defined(fields: Loose): Loose {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))
}

/** One source of a metric in the flat spelling of v1. */
function flatMetric(metric: MetricSpec): object {
  const { type, resource, containerResource, pods, object, external } = metric
  const source = resource ?? containerResource
  if (source) {
    const { averageUtilization, averageValue } = source.target
    const targets = { targetAverageUtilization: averageUtilization, targetAverageValue: averageValue }
    const flat = defined({ name: source.name, container: containerResource?.container, ...targets })
    return { type, [resource ? 'resource' : 'containerResource']: flat }
  }
  if (pods) {
    const { metric: about, target } = pods
    return {
      type,
      pods: defined({ metricName: about.name, targetAverageValue: target.averageValue, selector: about.selector }),
    }
  }
  if (object) {
    const { metric: about, target, describedObject } = object
    const values = { targetValue: target.value, averageValue: target.averageValue }
    return {
      type,
      object: defined({ target: describedObject, metricName: about.name, selector: about.selector, ...values }),
    }
  }
  const values = { targetValue: external?.target.value, targetAverageValue: external?.target.averageValue }
  return {
    type,
    external: defined({ metricName: external?.metric.name, metricSelector: external?.metric.selector, ...values }),
  }
}

function targetOf(value: unknown, averageValue: unknown, averageUtilization?: unknown): Loose {
  const type = averageUtilization !== undefined ? 'Utilization' : value !== undefined ? 'Value' : 'AverageValue'
  return defined({ type, value, averageValue, averageUtilization })
}

function nestedMetric(metric: Loose): object {
  const { type } = metric
  for (const field of ['resource', 'containerResource'] as const) {
    const source = metric[field]
    if (!isRecord(source)) continue
    const { name, container, targetAverageUtilization, targetAverageValue } = source
    const target = targetOf(undefined, targetAverageValue, targetAverageUtilization)
    return { type, [field]: defined({ name, container, target }) }
  }
  for (const field of ['pods', 'object', 'external'] as const) {
    const source = metric[field]
    if (!isRecord(source)) continue
    const about = defined({ name: source['metricName'], selector: source['selector'] ?? source['metricSelector'] })
    const average = source['targetAverageValue'] ?? source['averageValue']
    const target = targetOf(source['targetValue'], average)
    return {
      type,
      [field]: defined({ metric: about, target, describedObject: field === 'object' ? source['target'] : undefined }),
    }
  }
  return { type }
}

function flatStatus({ type, resource, containerResource }: MetricStatus): object {
  const source = resource ?? containerResource
  const values = {
    currentAverageUtilization: source?.current.averageUtilization,
    currentAverageValue: source?.current.averageValue,
  }
  const flat = defined({ name: source?.name, container: containerResource?.container, ...values })
  return { type, [resource ? 'resource' : 'containerResource']: flat }
}

function nestedStatus(metric: Loose): object {
  for (const field of ['resource', 'containerResource'] as const) {
    const source = metric[field]
    if (!isRecord(source)) continue
    const { name, container, currentAverageUtilization, currentAverageValue } = source
    const current = defined({ averageUtilization: currentAverageUtilization, averageValue: currentAverageValue })
    return { type: metric['type'], [field]: defined({ name, container, current }) }
  }
  return { type: metric['type'] }
}
