/** Valid objects of the kinds that the script works with, and ways to break them. */
import type { Random } from './script.ts'

export interface Kind {
  /** `/api/v1` or `/apis/group/version`. */
  root: string
  apiVersion: string
  kind: string
  plural: string
  namespaced: boolean
  /** Fields of a valid object beyond its metadata. */
  make(random: Random): Record<string, unknown>
  /** Merge patches that a valid object may or may not accept. */
  changes: ReadonlyArray<Record<string, unknown>>
}

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

function apps(kind: string, plural: string): Pick<Kind, 'root' | 'apiVersion' | 'kind' | 'plural' | 'namespaced'> {
  return { root: '/apis/apps/v1', apiVersion: 'apps/v1', kind, plural, namespaced: true }
}

function workload(random: Random): Record<string, unknown> {
  const { restartPolicy: _policy, ...spec } = podSpec(random)
  return { selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'x' } }, spec } }
}

function task(): Record<string, unknown> {
  return { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox' }] } }
}

export const KINDS: readonly Kind[] = [
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'ConfigMap',
    plural: 'configmaps',
    namespaced: true,
    make: (random) => ({
      data: { a: '1', b: random.pick(['x', 'y']) },
      ...(random.chance(0.2) && { binaryData: { c: 'AAEC' } }),
      ...(random.chance(0.1) && { immutable: true }),
    }),
    changes: [
      { data: { a: '2' } },
      { data: { a: null } },
      { data: null },
      { data: { 'bad key!': 'x' } },
      { immutable: true },
      { data: { a: 7 } },
      { binaryData: { a: 'not base64!' } },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'Secret',
    plural: 'secrets',
    namespaced: true,
    make: (random) => ({
      ...(random.chance(0.5) ? { stringData: { user: 'me' } } : { data: { user: 'bWU=' } }),
      ...(random.chance(0.3) && { type: 'Opaque' }),
    }),
    changes: [
      { stringData: { extra: 'x' } },
      { data: { user: null } },
      { type: 'kubernetes.io/tls' },
      { immutable: true },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'Pod',
    plural: 'pods',
    namespaced: true,
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
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'Service',
    plural: 'services',
    namespaced: true,
    make: (random) => ({
      spec: {
        ...(random.chance(0.6) && { clusterIP: 'None' }),
        selector: { app: 'x' },
        ports: [
          {
            name: 'http',
            port: 80,
            ...(random.chance(0.5) && { targetPort: random.pick<number | string>([8080, 'web']) }),
          },
        ],
      },
    }),
    changes: [
      { spec: { ports: [{ port: 81 }] } },
      { spec: { selector: { app: 'y' } } },
      { spec: { type: 'Bogus' } },
      { spec: { sessionAffinity: 'ClientIP' } },
      { spec: { ports: [] } },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    namespaced: true,
    make: (random) => (random.chance(0.5) ? { automountServiceAccountToken: false } : {}),
    changes: [{ automountServiceAccountToken: true }, { imagePullSecrets: [{ name: 'x' }] }, { secrets: 'no' }],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    namespaced: true,
    make: (random) => ({
      spec: {
        accessModes: [random.pick(['ReadWriteOnce', 'ReadWriteMany'])],
        resources: { requests: { storage: random.pick(['1Gi', '1024Mi', '0.5Gi']) } },
        storageClassName: 'manual',
      },
    }),
    changes: [
      { spec: { resources: { requests: { storage: '2Gi' } } } },
      { spec: { accessModes: ['ReadOnlyMany'] } },
      { spec: { volumeName: 'v' } },
      { metadata: { annotations: { a: 'b' } } },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'Event',
    plural: 'events',
    namespaced: true,
    make: () => ({
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'IN_NAMESPACE' },
      reason: 'Tested',
      message: 'a test',
      type: 'Normal',
      source: { component: 'test' },
    }),
    changes: [{ count: 2 }, { message: 'again' }],
  },
  {
    ...apps('Deployment', 'deployments'),
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
    ...apps('ReplicaSet', 'replicasets'),
    make: (random) => ({ spec: { ...workload(random), replicas: random.integer(5) } }),
    changes: [{ spec: { replicas: 7 } }, { spec: { minReadySeconds: 4 } }, { spec: { selector: null } }],
  },
  {
    ...apps('StatefulSet', 'statefulsets'),
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
    ...apps('DaemonSet', 'daemonsets'),
    make: (random) => ({ spec: workload(random) }),
    changes: [
      { spec: { minReadySeconds: 4 } },
      { spec: { updateStrategy: { rollingUpdate: { maxSurge: 1 } } } },
      { spec: { template: { metadata: { labels: { extra: 'x' } } } } },
    ],
  },
  {
    root: '/apis/batch/v1',
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    plural: 'cronjobs',
    namespaced: true,
    make: (random) => ({
      spec: {
        schedule: random.pick(['* * * * *', '@daily', '0 1 * * mon']),
        jobTemplate: { spec: { template: task() } },
      },
    }),
    changes: [{ spec: { schedule: 'nonsense' } }, { spec: { suspend: true } }, { spec: { timeZone: 'Europe/Paris' } }],
  },
  {
    root: '/apis/policy/v1',
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    namespaced: true,
    make: (random) => ({ spec: { selector: {}, minAvailable: random.pick<number | string>([1, '50%']) } }),
    changes: [{ spec: { minAvailable: 2 } }, { spec: { maxUnavailable: 1 } }, { spec: { minAvailable: 'x' } }],
  },
  {
    root: '/apis/autoscaling/v2',
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    plural: 'horizontalpodautoscalers',
    namespaced: true,
    make: (random) => ({
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        maxReplicas: 1 + random.integer(5),
        ...(random.chance(0.3) && { behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } }),
      },
    }),
    changes: [{ spec: { maxReplicas: 9 } }, { spec: { minReplicas: 50 } }, { spec: { metrics: [{ type: 'Pods' }] } }],
  },
  {
    root: '/apis/coordination.k8s.io/v1',
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    plural: 'leases',
    namespaced: true,
    make: () => ({ spec: { holderIdentity: 'me', leaseDurationSeconds: 15 } }),
    changes: [
      { spec: { holderIdentity: 'you' } },
      { spec: { leaseDurationSeconds: 0 } },
      { spec: { leaseTransitions: -1 } },
    ],
  },
  {
    root: '/apis/rbac.authorization.k8s.io/v1',
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    plural: 'roles',
    namespaced: true,
    make: () => ({ rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }] }),
    changes: [
      { rules: [{ apiGroups: [''], resources: ['pods'], verbs: [] }] },
      { rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }] },
      { rules: [] },
    ],
  },
  {
    root: '/apis/rbac.authorization.k8s.io/v1',
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    plural: 'rolebindings',
    namespaced: true,
    make: () => ({
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
      subjects: [
        { kind: 'ServiceAccount', name: 's', namespace: 'x' },
        { kind: 'User', name: 'u' },
      ],
    }),
    changes: [{ roleRef: { name: 'other' } }, { subjects: [{ kind: 'Bogus', name: 'x' }] }, { subjects: [] }],
  },
  {
    root: '/apis/networking.k8s.io/v1',
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    plural: 'ingresses',
    namespaced: true,
    make: (random) => ({
      spec: {
        ...(random.chance(0.5) && { ingressClassName: 'none' }),
        rules: [
          {
            host: 'one.example.com',
            http: {
              paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 's', port: { number: 80 } } } }],
            },
          },
        ],
      },
    }),
    changes: [
      { spec: { rules: null } },
      { spec: { rules: [{ host: '*.x.example.com' }, { host: '1.2.3.4' }, { host: '*bad' }, { host: 'UP' }] } },
      { spec: { defaultBackend: { service: { name: 'Bad', port: { name: 'x', number: 1 } } } } },
      { spec: { defaultBackend: { resource: { kind: '', name: 'a/b' } } } },
      { spec: { tls: [{ hosts: ['*.a', 'b_c'], secretName: 'No' }] } },
      { spec: { rules: [{ http: { paths: [{ path: 'a//b/..', pathType: 'Exact', backend: {} }] } }] } },
      { spec: { rules: [{ http: { paths: [{ pathType: 'Bogus', backend: { service: { name: 's' } } }] } }] } },
      { metadata: { annotations: { 'kubernetes.io/ingress.class': 'other' } } },
    ],
  },
  {
    root: '/apis/networking.k8s.io/v1',
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    plural: 'ingressclasses',
    namespaced: false,
    make: (random) => ({
      spec: {
        controller: 'example.com/none',
        ...(random.chance(0.5) && { parameters: { apiGroup: 'example.com', kind: 'Own', name: 'one' } }),
      },
    }),
    changes: [
      { spec: { controller: 'example.com/other' } },
      { spec: { parameters: { kind: 'Own', name: 'one', scope: 'Namespace' } } },
      { spec: { parameters: { kind: 'Own', name: '', scope: 'Bogus' } } },
      { spec: { parameters: { kind: 'Own', name: 'one', scope: 'Cluster', namespace: 'x' } } },
    ],
  },
  {
    root: '/apis/networking.k8s.io/v1',
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    namespaced: true,
    make: (random) => ({
      spec: {
        podSelector: {},
        ...(random.chance(0.5) && {
          ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80 }] }],
        }),
      },
    }),
    changes: [
      { spec: { policyTypes: ['Egress'] } },
      { spec: { ingress: [{ from: [{ ipBlock: { cidr: 'bogus' } }] }] } },
      { spec: { podSelector: { matchLabels: { a: 'b' } } } },
    ],
  },
  {
    root: '/apis/discovery.k8s.io/v1',
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
    make: () => ({
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'] }],
      ports: [{ name: '', port: 80, protocol: 'TCP' }],
    }),
    changes: [
      { addressType: 'IPv6' },
      { endpoints: [{ addresses: [] }] },
      { endpoints: [{ addresses: ['nonsense'] }] },
    ],
  },
  {
    root: '/apis/scheduling.k8s.io/v1',
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    plural: 'priorityclasses',
    namespaced: false,
    make: (random) => ({ value: random.integer(1000), description: 'a test' }),
    changes: [{ value: 5000 }, { description: 'changed' }, { preemptionPolicy: 'Never' }],
  },
  {
    root: '/apis/node.k8s.io/v1',
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    plural: 'runtimeclasses',
    namespaced: false,
    make: () => ({ handler: 'runsc' }),
    changes: [
      { handler: 'other' },
      { overhead: { podFixed: { memory: '10Mi' } } },
      { scheduling: { nodeSelector: { a: 'b' } } },
    ],
  },
  {
    root: '/apis/storage.k8s.io/v1',
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    plural: 'storageclasses',
    namespaced: false,
    make: () => ({ provisioner: 'example.com/none', parameters: { a: 'b' } }),
    changes: [{ provisioner: 'other.com/x' }, { allowVolumeExpansion: true }, { reclaimPolicy: 'Retain' }],
  },
  {
    root: '/apis/rbac.authorization.k8s.io/v1',
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    plural: 'clusterroles',
    namespaced: false,
    make: () => ({
      rules: [
        { apiGroups: ['example.com'], resources: ['*'], verbs: ['*'] },
        { nonResourceURLs: ['/healthz/*'], verbs: ['get'] },
      ],
    }),
    changes: [
      { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] } },
      { rules: [{ verbs: ['get'] }] },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    namespaced: false,
    make: () => ({
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path: '/tmp/x' },
        storageClassName: 'manual',
      },
    }),
    changes: [
      { spec: { capacity: { storage: '2Gi' } } },
      { spec: { hostPath: { path: '/other' } } },
      { spec: { persistentVolumeReclaimPolicy: 'Delete' } },
    ],
  },
  {
    root: '/api/v1',
    apiVersion: 'v1',
    kind: 'Node',
    plural: 'nodes',
    namespaced: false,
    make: () => ({ spec: { podCIDR: '10.1.0.0/24' }, metadata: { labels: { 'kubernetes.io/os': 'linux' } } }),
    changes: [
      { spec: { unschedulable: true } },
      { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } },
      { spec: { podCIDR: '10.2.0.0/24' } },
    ],
  },
]

/** Each takes a valid object and makes something that a server should answer in its own words. */
export const BREAKS: ReadonlyArray<[name: string, change: (object: Record<string, unknown>) => unknown]> = [
  ['upper case name', (object) => ({ ...object, metadata: { ...meta(object), name: 'Upper_Case' } })],
  ['long name', (object) => ({ ...object, metadata: { ...meta(object), name: 'n'.repeat(260) } })],
  ['empty name', (object) => ({ ...object, metadata: { ...meta(object), name: '' } })],
  ['no metadata', (object) => without(object, 'metadata')],
  ['bad label value', (object) => ({ ...object, metadata: { ...meta(object), labels: { app: 'not valid!' } } })],
  ['bad label key', (object) => ({ ...object, metadata: { ...meta(object), labels: { 'a/b/c': 'x' } } })],
  ['bad annotation key', (object) => ({ ...object, metadata: { ...meta(object), annotations: { 'a b': 'x' } } })],
  ['label of the wrong type', (object) => ({ ...object, metadata: { ...meta(object), labels: { app: 1 } } })],
  ['unknown field', (object) => ({ ...object, bogus: true })],
  ['unknown metadata field', (object) => ({ ...object, metadata: { ...meta(object), bogus: 'x' } })],
  ['other kind', (object) => ({ ...object, kind: 'Other' })],
  ['other apiVersion', (object) => ({ ...object, apiVersion: 'v9' })],
  ['no kind', (object) => without(object, 'kind')],
  ['other namespace', (object) => ({ ...object, metadata: { ...meta(object), namespace: 'elsewhere' } })],
  ['resourceVersion on create', (object) => ({ ...object, metadata: { ...meta(object), resourceVersion: '12' } })],
  ['uid given', (object) => ({ ...object, metadata: { ...meta(object), uid: 'given' } })],
  ['bad finalizer', (object) => ({ ...object, metadata: { ...meta(object), finalizers: ['not qualified'] } })],
  [
    'bad owner',
    (object) => ({
      ...object,
      metadata: { ...meta(object), ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x' }] },
    }),
  ],
  ['metadata of the wrong type', (object) => ({ ...object, metadata: 'text' })],
  ['a list instead of an object', (object) => [object]],
  ['null', () => null],
]

function meta(object: Record<string, unknown>): Record<string, unknown> {
  return (object['metadata'] ?? {}) as Record<string, unknown>
}

function without(object: Record<string, unknown>, field: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== field))
}
