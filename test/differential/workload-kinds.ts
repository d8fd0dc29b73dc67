/** Pods, what makes them, and what looks after them. */
import { type Kind, namespaced } from './kind.ts'
import type { Random } from './script.ts'

const container = (random: Random): Record<string, unknown> => ({
  name: 'main',
  image: random.pick([
    'busybox',
    'busybox:1.36',
    'registry.example/a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000',
  ]),
  ...(random.chance(0.5) && { command: ['sleep', '1'] }),
  ...(random.chance(0.4) && {
    env: [
      { name: 'A', value: '1' },
      { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
  }),
  ...(random.chance(0.4) && { ports: [{ containerPort: 80 }, { name: 'dns', containerPort: 53, protocol: 'UDP' }] }),
  ...(random.chance(0.4) && { resources: { limits: { cpu: '0.5', memory: '128Mi' }, requests: { cpu: '100m' } } }),
  ...(random.chance(0.3) && { livenessProbe: { httpGet: { path: '/', port: 80 } } }),
  ...(random.chance(0.3) && { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] }),
})

function podSpec(random: Random): Record<string, unknown> {
  return {
    containers: [container(random), ...(random.chance(0.3) ? [{ ...container(random), name: 'side' }] : [])],
    volumes: [
      { name: 'scratch', emptyDir: {} },
      ...(random.chance(0.4) ? [{ name: 'settings', configMap: { name: 'settings' } }] : []),
    ],
    ...(random.chance(0.3) && { restartPolicy: random.pick(['Never', 'OnFailure', 'Always']) }),
    ...(random.chance(0.2) && { securityContext: { runAsUser: 1000, runAsNonRoot: true } }),
    ...(random.chance(0.2) && { initContainers: [{ name: 'first', image: 'busybox' }] }),
    ...(random.chance(0.2) && { tolerations: [{ key: 'a', operator: 'Exists' }] }),
    ...(random.chance(0.2) && { nodeSelector: { disk: 'fast' } }),
  }
}

function workload(random: Random): Record<string, unknown> {
  const { restartPolicy: _policy, ...spec } = podSpec(random)
  return { selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'x' } }, spec } }
}

function task(): Record<string, unknown> {
  return { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox' }] } }
}

export const POD: Kind = {
  ...namespaced('v1', 'Pod', 'pods'),
  make: (random) => ({ spec: podSpec(random) }),
  changes: [
    { spec: { containers: [{ name: 'main', image: 'other' }] } },
    { spec: { activeDeadlineSeconds: 100 } },
    { spec: { restartPolicy: 'Never' } },
    { metadata: { labels: { app: 'changed' } } },
    { spec: { terminationGracePeriodSeconds: 1 } },
    { spec: { hostname: 'x' } },
    { status: { phase: 'Running' } },
    { spec: { tolerations: [{ key: 'b', operator: 'Exists' }] } },
  ],
}

export const WORKLOAD_KINDS: readonly Kind[] = [
  {
    ...namespaced('apps/v1', 'Deployment', 'deployments'),
    make: (random) => ({
      spec: {
        ...workload(random),
        ...(random.chance(0.5) && { replicas: random.integer(5) }),
        ...(random.chance(0.3) && { strategy: { type: 'Recreate' } }),
        ...(random.chance(0.3) && { progressDeadlineSeconds: 60, minReadySeconds: random.pick([0, 5, 60]) }),
      },
    }),
    changes: [
      { spec: { replicas: 7 } },
      { spec: { replicas: -1 } },
      { spec: { paused: true } },
      { spec: { strategy: { rollingUpdate: { maxSurge: '50%', maxUnavailable: 0 } } } },
      { spec: { selector: { matchLabels: { app: 'other' } } } },
      { spec: { template: { metadata: { labels: { extra: 'x' } } } } },
      { metadata: { annotations: { a: 'b' } } },
    ],
  },
  {
    ...namespaced('apps/v1', 'ReplicaSet', 'replicasets'),
    make: (random) => ({ spec: { ...workload(random), replicas: random.integer(5) } }),
    changes: [{ spec: { replicas: 7 } }, { spec: { minReadySeconds: 4 } }, { spec: { selector: null } }],
  },
  {
    ...namespaced('apps/v1', 'StatefulSet', 'statefulsets'),
    make: (random) => ({
      spec: {
        ...workload(random),
        serviceName: 'x',
        ...(random.chance(0.5) && { podManagementPolicy: 'Parallel' }),
        ...(random.chance(0.3) && { updateStrategy: { type: 'OnDelete' } }),
      },
    }),
    changes: [{ spec: { replicas: 7 } }, { spec: { serviceName: 'y' } }, { spec: { ordinals: { start: 2 } } }],
  },
  {
    ...namespaced('apps/v1', 'DaemonSet', 'daemonsets'),
    make: (random) => ({ spec: workload(random) }),
    changes: [
      { spec: { minReadySeconds: 4 } },
      { spec: { updateStrategy: { rollingUpdate: { maxSurge: 1 } } } },
      { spec: { template: { metadata: { labels: { extra: 'x' } } } } },
    ],
  },
  {
    ...namespaced('batch/v1', 'CronJob', 'cronjobs'),
    make: (random) => ({
      spec: {
        schedule: random.pick(['* * * * *', '@daily', '0 1 * * mon']),
        jobTemplate: { spec: { template: task() } },
      },
    }),
    changes: [{ spec: { schedule: 'nonsense' } }, { spec: { suspend: true } }, { spec: { timeZone: 'Europe/Paris' } }],
  },
  {
    ...namespaced('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
    make: (random) => ({ spec: { selector: {}, minAvailable: random.pick<number | string>([1, '50%']) } }),
    changes: [{ spec: { minAvailable: 2 } }, { spec: { maxUnavailable: 1 } }, { spec: { minAvailable: 'x' } }],
  },
  {
    ...namespaced('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
    make: (random) => ({
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        maxReplicas: 1 + random.integer(5),
        ...(random.chance(0.3) && { behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } }),
      },
    }),
    changes: [{ spec: { maxReplicas: 9 } }, { spec: { minReplicas: 50 } }, { spec: { metrics: [{ type: 'Pods' }] } }],
  },
]
