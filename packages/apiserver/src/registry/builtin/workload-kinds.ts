/** The kinds that make Pods, and those that watch over how many there are. */
import type { KubeObject } from '@caisson/api'
import * as columns from '../../table/workload-columns.ts'
import { autoscalingV1Strategy, fromAutoscalingV1, toAutoscalingV1 } from './autoscaling-v1.ts'
import { daemonSetStrategy } from './daemon-set.ts'
import { deploymentStrategy } from './deployment.ts'
import { decodeAutoscaler, horizontalPodAutoscalerStrategy } from './horizontal-pod-autoscaler.ts'
import { cronJobStrategy, jobStrategy } from './job.ts'
import type { Kind } from './kind.ts'
import { podDisruptionBudgetStrategy } from './pod-disruption-budget.ts'
import { podTemplateStrategy } from './pod-template.ts'
import { replicaSetStrategy, replicationControllerStrategy } from './replica-set.ts'
import { controllerRevisionStrategy, statefulSetStrategy } from './stateful-set.ts'

const APPS = { definitions: 'io.k8s.api.apps.v1', group: 'apps', namespaced: true } as const
const BATCH = { definitions: 'io.k8s.api.batch.v1', group: 'batch', namespaced: true } as const
const SHOWN_WITH_ALL = { categories: ['all'], status: true } as const
const SCALE = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.spec.selector',
}

function statusCount(field: string): (object: KubeObject) => string {
  return (object) => String((object.status as Record<string, number> | undefined)?.[field] ?? 0)
}

export const podTemplateKind: Kind = {
  definitions: 'io.k8s.api.core.v1',
  kind: 'PodTemplate',
  plural: 'podtemplates',
  namespaced: true,
  columns: columns.podTemplateColumns,
  strategy: podTemplateStrategy,
}

export const replicationControllerKind: Kind = {
  definitions: 'io.k8s.api.core.v1',
  kind: 'ReplicationController',
  plural: 'replicationcontrollers',
  shortNames: ['rc'],
  namespaced: true,
  ...SHOWN_WITH_ALL,
  scale: SCALE,
  columns: columns.replicationControllerColumns,
  strategy: { ...replicationControllerStrategy, defaultPropagation: 'Orphan' },
  selectableFields: { 'status.replicas': statusCount('replicas') },
}

export const appsKinds: readonly Kind[] = [
  {
    ...APPS,
    kind: 'ControllerRevision',
    plural: 'controllerrevisions',
    columns: columns.controllerRevisionColumns,
    strategy: controllerRevisionStrategy,
  },
  {
    ...APPS,
    ...SHOWN_WITH_ALL,
    kind: 'DaemonSet',
    plural: 'daemonsets',
    shortNames: ['ds'],
    columns: columns.daemonSetColumns,
    strategy: daemonSetStrategy,
  },
  {
    ...APPS,
    ...SHOWN_WITH_ALL,
    kind: 'Deployment',
    plural: 'deployments',
    shortNames: ['deploy'],
    scale: SCALE,
    columns: columns.deploymentColumns,
    strategy: deploymentStrategy,
  },
  {
    ...APPS,
    ...SHOWN_WITH_ALL,
    kind: 'ReplicaSet',
    plural: 'replicasets',
    shortNames: ['rs'],
    scale: SCALE,
    columns: columns.replicaSetColumns,
    strategy: replicaSetStrategy,
    selectableFields: { 'status.replicas': statusCount('replicas') },
  },
  {
    ...APPS,
    ...SHOWN_WITH_ALL,
    kind: 'StatefulSet',
    plural: 'statefulsets',
    shortNames: ['sts'],
    scale: SCALE,
    columns: columns.statefulSetColumns,
    strategy: statefulSetStrategy,
  },
]

const AUTOSCALER = {
  group: 'autoscaling',
  kind: 'HorizontalPodAutoscaler',
  plural: 'horizontalpodautoscalers',
  shortNames: ['hpa'],
  namespaced: true,
  ...SHOWN_WITH_ALL,
} as const

/** One kind in two versions, the preferred one first. */
export const autoscalingKinds: readonly Kind[] = [
  {
    ...AUTOSCALER,
    definitions: 'io.k8s.api.autoscaling.v2',
    version: 'v2',
    columns: columns.horizontalPodAutoscalerColumns,
    strategy: horizontalPodAutoscalerStrategy,
    decode: decodeAutoscaler,
  },
  {
    ...AUTOSCALER,
    definitions: 'io.k8s.api.autoscaling.v1',
    version: 'v1',
    storageVersion: 'v2',
    columns: columns.horizontalPodAutoscalerColumns.map((column) => ({
      ...column,
      cell: (autoscaler: KubeObject, now: number) => column.cell(fromAutoscalingV1(autoscaler), now),
    })),
    strategy: autoscalingV1Strategy,
    stored: {
      key: 'horizontalpodautoscalers.autoscaling',
      fromStored: toAutoscalingV1,
      toStored: fromAutoscalingV1,
    },
  },
]

export const batchKinds: readonly Kind[] = [
  {
    ...BATCH,
    ...SHOWN_WITH_ALL,
    kind: 'CronJob',
    plural: 'cronjobs',
    shortNames: ['cj'],
    columns: columns.cronJobColumns,
    strategy: cronJobStrategy,
  },
  {
    ...BATCH,
    ...SHOWN_WITH_ALL,
    kind: 'Job',
    plural: 'jobs',
    columns: columns.jobColumns,
    strategy: jobStrategy,
    selectableFields: { 'status.successful': statusCount('succeeded') },
  },
]

export const policyKinds: readonly Kind[] = [
  {
    definitions: 'io.k8s.api.policy.v1',
    group: 'policy',
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    shortNames: ['pdb'],
    anyFinalizer: true,
    namespaced: true,
    status: true,
    columns: columns.podDisruptionBudgetColumns,
    strategy: podDisruptionBudgetStrategy,
  },
]
