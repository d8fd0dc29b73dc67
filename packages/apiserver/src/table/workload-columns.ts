/** The columns of the kinds that make Pods, each as kube-apiserver's printers have them. */
import { type KubeObject, selectorText } from '@caisson/api'
import type { LabelSelector } from '../registry/object-meta.ts'
import type { Column } from '../registry/resource.ts'
import { AGE, column, formatSelector, labels, list, loose, NAME, text, wide } from './builtin-columns.ts'
import { age, humanDuration } from './duration.ts'

function count(name: string, ...path: string[]): Column {
  return column(name, (object) => numberAt(object, path), { type: 'integer' })
}

/** A number in a column that says it is text. */
function textCount(name: string, ...path: string[]): Column {
  return column(name, (object) => numberAt(object, path))
}

function numberAt(object: KubeObject, path: readonly string[]): number {
  let value: unknown = object
  for (const field of path) value = (value as Record<string, unknown> | undefined)?.[field]
  return typeof value === 'number' ? value : 0
}

function ready(object: KubeObject): string {
  return `${numberAt(object, ['status', 'readyReplicas'])}/${numberAt(object, ['spec', 'replicas'])}`
}

function containerColumns(...path: string[]): readonly Column[] {
  const containers = (object: KubeObject): ReturnType<typeof list> => {
    let value: unknown = object
    for (const field of [...path, 'spec', 'containers']) value = (value as Record<string, unknown> | undefined)?.[field]
    return list(value)
  }
  return [
    wide('Containers', (object) =>
      containers(object)
        .map(({ name }) => text(name))
        .join(','),
    ),
    wide('Images', (object) =>
      containers(object)
        .map(({ image }) => text(image))
        .join(','),
    ),
  ]
}

const TEMPLATE = containerColumns('spec', 'template')

export const podTemplateColumns: readonly Column[] = [
  NAME,
  ...containerColumns('template').map((each) => ({ ...each, priority: 0 })),
  column('Pod Labels', (object) => {
    const labels = (loose(object)['template']?.['metadata']?.['labels'] ?? {}) as Record<string, unknown>
    const pairs = Object.entries(labels).map(([key, value]) => `${key}=${text(value)}`)
    return pairs.sort().join(',') || '<none>'
  }),
]

function selectorOf(object: KubeObject): LabelSelector | undefined {
  return loose(object)['spec']?.['selector'] as LabelSelector | undefined
}

const SELECTOR = wide('Selector', (object) => {
  const selector = selectorOf(object)
  return selector ? formatSelector(selector) : '<none>'
})

const REPLICAS = [
  NAME,
  count('Desired', 'spec', 'replicas'),
  count('Current', 'status', 'replicas'),
  count('Ready', 'status', 'readyReplicas'),
  AGE,
  ...TEMPLATE,
]

export const replicationControllerColumns: readonly Column[] = [
  ...REPLICAS,
  wide('Selector', (object) => labels(loose(object)['spec']?.['selector'])),
]

export const replicaSetColumns: readonly Column[] = [...REPLICAS, SELECTOR]

export const deploymentColumns: readonly Column[] = [
  NAME,
  column('Ready', ready),
  textCount('Up-to-date', 'status', 'updatedReplicas'),
  textCount('Available', 'status', 'availableReplicas'),
  AGE,
  ...TEMPLATE,
  wide('Selector', (object) => selectorText(selectorOf(object) ?? {})),
]

export const statefulSetColumns: readonly Column[] = [NAME, column('Ready', ready), AGE, ...TEMPLATE]

export const daemonSetColumns: readonly Column[] = [
  NAME,
  count('Desired', 'status', 'desiredNumberScheduled'),
  count('Current', 'status', 'currentNumberScheduled'),
  count('Ready', 'status', 'numberReady'),
  count('Up-to-date', 'status', 'updatedNumberScheduled'),
  count('Available', 'status', 'numberAvailable'),
  column('Node Selector', (set) => labels(loose(set)['spec']?.['template']?.['spec']?.['nodeSelector'])),
  AGE,
  ...TEMPLATE,
  SELECTOR,
]

export const controllerRevisionColumns: readonly Column[] = [
  NAME,
  column('Controller', ({ metadata }) => {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller)
    if (!owner) return '<none>'
    const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : ''
    return `${owner.kind.toLowerCase()}${group}/${owner.name}`
  }),
  textCount('Revision', 'revision'),
  AGE,
]

export const jobColumns: readonly Column[] = [
  NAME,
  column('Status', jobStatus),
  column('Completions', (job) => {
    const succeeded = numberAt(job, ['status', 'succeeded'])
    const wanted = loose(job)['spec']?.['completions'] as unknown
    if (typeof wanted === 'number') return `${succeeded}/${wanted}`
    const parallelism = numberAt(job, ['spec', 'parallelism'])
    return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`
  }),
  column('Duration', (job, now) => {
    const started = text(loose(job)['status']?.['startTime'])
    if (!started) return ''
    const ended = text(loose(job)['status']?.['completionTime'])
    return humanDuration((ended ? Date.parse(ended) : now) - Date.parse(started))
  }),
  AGE,
  ...TEMPLATE,
  SELECTOR,
]

function jobStatus(job: KubeObject): string {
  const conditions = list(loose(job)['status']?.['conditions'])
  const holds = (type: string): boolean =>
    conditions.some((condition) => text(condition['type']) === type && text(condition['status']) === 'True')
  if (holds('Complete')) return 'Complete'
  if (holds('Failed')) return 'Failed'
  if (job.metadata.deletionTimestamp) return 'Terminating'
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(holds) ?? 'Running'
}

export const cronJobColumns: readonly Column[] = [
  NAME,
  column('Schedule', (job) => text(loose(job)['spec']?.['schedule'])),
  column('Timezone', (job) => text(loose(job)['spec']?.['timeZone'], '<none>')),
  column('Suspend', (job) => printedBoolean(loose(job)['spec']?.['suspend']), { type: 'boolean' }),
  column('Active', (job) => list(loose(job)['status']?.['active']).length, { type: 'integer' }),
  column('Last Schedule', (job, now) => {
    const last = text(loose(job)['status']?.['lastScheduleTime'])
    return last ? age(last, now) : '<none>'
  }),
  AGE,
  ...containerColumns('spec', 'jobTemplate', 'spec', 'template'),
  wide('Selector', (job) => {
    const selector = loose(job)['spec']?.['jobTemplate']?.['spec']?.['selector'] as unknown as LabelSelector | undefined
    return selector ? formatSelector(selector) : '<none>'
  }),
]

/** As text, though the column says that it is a boolean. */
function printedBoolean(value: unknown): string {
  return value === undefined ? '<unset>' : value === true ? 'True' : 'False'
}

export const podDisruptionBudgetColumns: readonly Column[] = [
  NAME,
  column('Min Available', (budget) => text(loose(budget)['spec']?.['minAvailable'], 'N/A')),
  column('Max Unavailable', (budget) => text(loose(budget)['spec']?.['maxUnavailable'], 'N/A')),
  count('Allowed Disruptions', 'status', 'disruptionsAllowed'),
  AGE,
]

export const horizontalPodAutoscalerColumns: readonly Column[] = [
  NAME,
  column('Reference', (scaler) => {
    const target = loose(scaler)['spec']?.['scaleTargetRef']
    return `${text(target?.['kind'])}/${text(target?.['name'])}`
  }),
  column('Targets', targets),
  column('MinPods', (scaler) => text(loose(scaler)['spec']?.['minReplicas'], '<unset>')),
  textCount('MaxPods', 'spec', 'maxReplicas'),
  textCount('Replicas', 'status', 'currentReplicas'),
  AGE,
]

const MOST_TARGETS = 2
const UNKNOWN = '<unknown>'
const SOURCES: Readonly<Record<string, string>> = {
  External: 'external',
  Pods: 'pods',
  Object: 'object',
  Resource: 'resource',
  ContainerResource: 'containerResource',
}

/** What is measured against what is wanted, of the first two metrics. */
function targets(scaler: KubeObject): string {
  const metrics = list(loose(scaler)['spec']?.['metrics'])
  const current = list(loose(scaler)['status']?.['currentMetrics'])
  if (metrics.length === 0) return '<none>'
  const shown = metrics.map((metric, index) => {
    const type = text(metric['type'])
    const field = Object.hasOwn(SOURCES, type) ? (SOURCES[type] as string) : undefined
    if (field === undefined) return '<unknown type>'
    const target = metric[field]?.['target']
    const found = current[index]?.[field]?.['current']
    const average = text(target?.['averageValue'])
    if (type === 'Pods') return `${text(found?.['averageValue'], UNKNOWN)}/${average}`
    if (type === 'External' || type === 'Object') {
      return average
        ? `${text(found?.['averageValue'], UNKNOWN)}/${average} (avg)`
        : `${text(found?.['value'], UNKNOWN)}/${text(target?.['value'])}`
    }
    const name = text(metric[field]?.['name'])
    if (average) return `${name}: ${text(found?.['averageValue'], UNKNOWN)}/${average}`
    const percent = (value: unknown, otherwise: string): string => (typeof value === 'number' ? `${value}%` : otherwise)
    return `${name}: ${percent(found?.['averageUtilization'], UNKNOWN)}/${percent(target?.['averageUtilization'], '<auto>')}`
  })
  const more = shown.length - MOST_TARGETS
  const first = shown.slice(0, MOST_TARGETS).join(', ')
  return more > 0 ? `${first} + ${more} more...` : first
}
