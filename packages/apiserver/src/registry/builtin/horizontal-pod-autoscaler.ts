/** HorizontalPodAutoscaler of autoscaling/v2: how many Pods for how much load. */
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
  MetricSpec,
  MetricTarget,
} from 'kubernetes-types/autoscaling/v2.js'
import { type DecodedNative, decodeNative } from '../../schema/native.ts'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, pathSegment } from '../names.ts'
import { nanoOf } from '../quantity.ts'
import type { Strategy } from '../resource.ts'
import { validateNonNegative } from './amounts.ts'
import { keepSpec } from './replica-set.ts'
import { validateContainerResourceName } from './resource-requirements.ts'

/** No policies are refused, and policies that are left out are filled in: this is the one list for which it matters. */
export function decodeAutoscaler(value: Readonly<Record<string, unknown>>): DecodedNative {
  const decoded = decodeNative('io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler', value)
  const given = specOf(value)?.behavior
  const behavior = specOf(decoded.object)?.behavior
  for (const direction of ['scaleUp', 'scaleDown'] as const) {
    const rules = behavior?.[direction]
    const policies: unknown = given?.[direction]?.policies
    if (rules && Array.isArray(policies) && policies.length === 0) rules.policies = []
  }
  return decoded
}

const DEFAULT_UTILIZATION = 80
const LONGEST_PERIOD_SECONDS = 1800
const LONGEST_WINDOW_SECONDS = 3600
const PERIOD_SECONDS = 15

export const horizontalPodAutoscalerStrategy: Strategy = {
  generation: false,
  defaults(object) {
    const spec = specOf(object)
    spec.minReplicas ??= 1
    if (!spec.metrics?.length) {
      const target = { type: 'Utilization', averageUtilization: DEFAULT_UTILIZATION }
      spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }]
    }
    if (spec.behavior) {
      const percent = { type: 'Percent', value: 100, periodSeconds: PERIOD_SECONDS }
      const pods = { type: 'Pods', value: 4, periodSeconds: PERIOD_SECONDS }
      const selectPolicy = 'Max'
      spec.behavior.scaleUp = {
        stabilizationWindowSeconds: 0,
        selectPolicy,
        policies: [pods, percent],
        ...spec.behavior.scaleUp,
      }
      spec.behavior.scaleDown = { selectPolicy, policies: [percent], ...spec.behavior.scaleDown }
    }
  },
  prepareForCreate(object) {
    object.status = { desiredReplicas: 0, currentMetrics: null }
    dropTolerance(specOf(object))
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropTolerance(specOf(next))
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateAutoscaler(specOf(object), undefined),
  validateUpdate: (next, current) => validateAutoscaler(specOf(next), specOf(current)),
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    const status = (next as unknown as HorizontalPodAutoscaler).status
    validateNonNegative(status?.currentReplicas, 'status.currentReplicas', errors)
    validateNonNegative(status?.desiredReplicas, 'status.desiredReplicas', errors)
    return errors
  },
}

function specOf(object: object): HorizontalPodAutoscalerSpec {
  return (object as HorizontalPodAutoscaler).spec as HorizontalPodAutoscalerSpec
}

/** Behind a feature gate that is off in 1.34. */
function dropTolerance({ behavior }: HorizontalPodAutoscalerSpec): void {
  for (const rules of [behavior?.scaleUp, behavior?.scaleDown]) {
    delete (rules as { tolerance?: unknown } | undefined)?.tolerance
  }
}

function validateAutoscaler(
  spec: HorizontalPodAutoscalerSpec,
  current: HorizontalPodAutoscalerSpec | undefined,
): FieldError[] {
  const errors: FieldError[] = []
  const { minReplicas, maxReplicas, scaleTargetRef: target, metrics = [], behavior } = spec
  const lowest = current?.minReplicas === 0 ? 0 : 1
  if (minReplicas !== undefined && minReplicas < lowest) {
    errors.push(invalidValue('spec.minReplicas', minReplicas, `must be greater than or equal to ${lowest}`))
  }
  if (maxReplicas < 1) errors.push(invalidValue('spec.maxReplicas', maxReplicas, 'must be greater than 0'))
  if (minReplicas !== undefined && maxReplicas < minReplicas) {
    errors.push(invalidValue('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'))
  }
  const same = current?.scaleTargetRef
  validateReference(target, 'spec.scaleTargetRef', errors, {
    anyVersion: same !== undefined && same.apiVersion === target.apiVersion && same.kind === target.kind,
    core: target.kind === 'ReplicationController',
  })
  metrics.forEach((metric, index) => validateMetric(metric, `spec.metrics[${index}]`, errors))
  if (minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External')) {
    const said = 'must specify at least one Object or External metric to support scaling to zero replicas'
    errors.push(forbidden('spec.metrics', said))
  }
  validateRules(behavior?.scaleUp, 'spec.behavior.scaleUp', errors)
  validateRules(behavior?.scaleDown, 'spec.behavior.scaleDown', errors)
  return errors
}

function validateReference(
  { kind = '', name = '', apiVersion = '' }: { kind?: string; name?: string; apiVersion?: string },
  path: string,
  errors: FieldError[],
  allowed: { anyVersion: boolean; core: boolean },
): void {
  for (const [field, value] of [
    ['kind', kind],
    ['name', name],
  ] as const) {
    if (!value) errors.push(required(`${path}.${field}`))
    for (const said of pathSegment(value)) errors.push(invalidValue(`${path}.${field}`, value, said))
  }
  if (allowed.anyVersion) return
  const parts = apiVersion === '' || apiVersion === '/' ? [''] : apiVersion.split('/')
  if (parts.length > 2) {
    errors.push(invalidValue(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  } else if (!allowed.core && (parts.length === 1 || parts[0] === '')) {
    errors.push(invalidValue(`${path}.apiVersion`, apiVersion, 'apiVersion must specify API group'))
  }
}

const SELECT_POLICIES = ['Disabled', 'Max', 'Min']
const POLICY_TYPES = ['Percent', 'Pods']

function validateRules(rules: HPAScalingRules | undefined, path: string, errors: FieldError[]): void {
  if (!rules) return
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [] } = rules
  if (window !== undefined && (window < 0 || window > LONGEST_WINDOW_SECONDS)) {
    const said =
      window < 0 ? 'must be greater than or equal to zero' : `must be less than or equal to ${LONGEST_WINDOW_SECONDS}`
    errors.push(invalidValue(`${path}.stabilizationWindowSeconds`, window, said))
  }
  if (selectPolicy !== undefined && !SELECT_POLICIES.includes(selectPolicy)) {
    errors.push(notSupported(`${path}.selectPolicy`, selectPolicy, SELECT_POLICIES))
  }
  if (policies.length === 0) errors.push(required(`${path}.policies`, 'must specify at least one Policy'))
  policies.forEach(({ type, value, periodSeconds }, index) => {
    const at = `${path}.policies[${index}]`
    if (!POLICY_TYPES.includes(type)) errors.push(notSupported(`${at}.type`, type, POLICY_TYPES))
    if (value <= 0) errors.push(invalidValue(`${at}.value`, value, 'must be greater than zero'))
    if (periodSeconds <= 0) errors.push(invalidValue(`${at}.periodSeconds`, periodSeconds, 'must be greater than zero'))
    if (periodSeconds > LONGEST_PERIOD_SECONDS) {
      const said = `must be less than or equal to ${LONGEST_PERIOD_SECONDS}`
      errors.push(invalidValue(`${at}.periodSeconds`, periodSeconds, said))
    }
  })
}

/** By type, and where a metric of the type says what it is about. */
const SOURCES = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
} as const
const LOOKED_AT = ['object', 'external', 'pods', 'resource', 'containerResource'] as const

function validateMetric(metric: MetricSpec, path: string, errors: FieldError[]): void {
  const { type } = metric
  if (!type) errors.push(required(`${path}.type`, 'must specify a metric source type'))
  const source = Object.hasOwn(SOURCES, type) ? SOURCES[type as keyof typeof SOURCES] : undefined
  // Kubernetes says this at two places.
  if (!source)
    for (let times = 0; times < 2; times++) errors.push(notSupported(`${path}.type`, type, Object.keys(SOURCES)))
  const present = LOOKED_AT.filter((field) => metric[field])
  const [first] = present
  if (first) validateSource(metric, first, `${path}.${first}`, errors)
  if (source && !metric[source]) {
    errors.push(required(`${path}.${source}`, 'must populate information for the given metric source'))
  }
  if (present.length === 1) return
  for (const field of present) {
    if (field !== source) errors.push(forbidden(`${path}.${field}`, 'must populate the given metric source only'))
  }
}

function validateSource(
  metric: MetricSpec,
  field: (typeof LOOKED_AT)[number],
  path: string,
  errors: FieldError[],
): void {
  const { target } = metric[field] as { target: MetricTarget }
  const at = `${path}.target`
  if (field === 'resource' || field === 'containerResource') {
    const { name } = metric[field] as { name: string }
    if (!name) errors.push(required(`${path}.name`, 'must specify a resource name'))
    if (field === 'containerResource') {
      if (name) validateContainerResourceName(name, `${path}.name`, errors)
      const { container = '' } = metric.containerResource ?? {}
      if (!container) errors.push(required(`${path}.container`, 'must specify a container'))
      else for (const said of dns1123Label(container)) errors.push(invalidValue(`${path}.container`, container, said))
    }
    validateTarget(target, at, errors)
    if (target.averageUtilization === undefined && target.averageValue === undefined) {
      const said = 'must set either a target raw value or a target utilization'
      errors.push(required(`${at}.averageUtilization`, said))
    }
    if (target.averageUtilization !== undefined && target.averageValue !== undefined) {
      errors.push(forbidden(`${at}.averageValue`, 'may not set both a target raw value and a target utilization'))
    }
    return
  }
  if (field === 'object' && metric.object) {
    validateReference(metric.object.describedObject, `${path}.describedObject`, errors, {
      anyVersion: false,
      core: true,
    })
  }
  const { name = '' } = (metric[field] as { metric: { name?: string } }).metric
  if (!name) errors.push(required(`${path}.metric.name`, 'must specify a metric name'))
  for (const said of pathSegment(name)) errors.push(invalidValue(`${path}.metric.name`, name, said))
  validateTarget(target, at, errors)
  if (target.averageValue !== undefined) {
    if (field === 'external' && target.value !== undefined) {
      const said = 'may not set both a target value for metric and a per-pod target'
      errors.push(forbidden(`${at}.value`, said))
    }
  } else if (field === 'pods') {
    errors.push(required(`${at}.averageValue`, 'must specify a positive target averageValue'))
  } else if (target.value === undefined) {
    const said =
      field === 'object'
        ? 'must set either a target value or averageValue'
        : 'must set either a target value for metric or a per-pod target'
    errors.push(required(`${at}.averageValue`, said))
  }
}

const TARGETS = ['Utilization', 'Value', 'AverageValue']

function validateTarget(target: MetricTarget, path: string, errors: FieldError[]): void {
  const { type, averageUtilization } = target
  if (!type) errors.push(required(`${path}.type`, 'must specify a metric target type'))
  if (!TARGETS.includes(type)) {
    errors.push(invalidValue(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'))
  }
  for (const field of ['value', 'averageValue'] as const) {
    const amount = target[field] as string | undefined
    if (amount !== undefined && nanoOf(amount) <= 0n) {
      errors.push(invalidValue(`${path}.${field}`, amount, 'must be positive'))
    }
  }
  if (averageUtilization !== undefined && averageUtilization < 1) {
    errors.push(invalidValue(`${path}.averageUtilization`, averageUtilization, 'must be greater than 0'))
  }
}
