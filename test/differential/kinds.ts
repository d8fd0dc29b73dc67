/** The kinds that the script works with: which of them a seed picks is by their order. */
import { clusterWide, type Kind, namespaced } from './kind.ts'
import { NETWORK_KINDS } from './network-kinds.ts'
import { POD, WORKLOAD_KINDS } from './workload-kinds.ts'

export const KINDS: readonly Kind[] = [
  {
    ...namespaced('v1', 'ConfigMap', 'configmaps'),
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
    ...namespaced('v1', 'Secret', 'secrets'),
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
  POD,
  {
    ...namespaced('v1', 'Service', 'services'),
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
    ...namespaced('v1', 'ServiceAccount', 'serviceaccounts'),
    make: (random) => (random.chance(0.5) ? { automountServiceAccountToken: false } : {}),
    changes: [{ automountServiceAccountToken: true }, { imagePullSecrets: [{ name: 'x' }] }, { secrets: 'no' }],
  },
  {
    ...namespaced('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
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
    ...namespaced('v1', 'Event', 'events'),
    make: () => ({
      involvedObject: { kind: 'Pod', name: 'p', namespace: 'IN_NAMESPACE' },
      reason: 'Tested',
      message: 'a test',
      type: 'Normal',
      source: { component: 'test' },
    }),
    changes: [{ count: 2 }, { message: 'again' }],
  },
  ...WORKLOAD_KINDS,
  {
    ...namespaced('coordination.k8s.io/v1', 'Lease', 'leases'),
    make: () => ({ spec: { holderIdentity: 'me', leaseDurationSeconds: 15 } }),
    changes: [
      { spec: { holderIdentity: 'you' } },
      { spec: { leaseDurationSeconds: 0 } },
      { spec: { leaseTransitions: -1 } },
    ],
  },
  {
    ...namespaced('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
    make: () => ({ rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }] }),
    changes: [
      { rules: [{ apiGroups: [''], resources: ['pods'], verbs: [] }] },
      { rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }] },
      { rules: [] },
    ],
  },
  {
    ...namespaced('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
    make: () => ({
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' },
      subjects: [
        { kind: 'ServiceAccount', name: 's', namespace: 'x' },
        { kind: 'User', name: 'u' },
      ],
    }),
    changes: [{ roleRef: { name: 'other' } }, { subjects: [{ kind: 'Bogus', name: 'x' }] }, { subjects: [] }],
  },
  ...NETWORK_KINDS,
  {
    ...clusterWide('scheduling.k8s.io/v1', 'PriorityClass', 'priorityclasses'),
    make: (random) => ({ value: random.integer(1000), description: 'a test' }),
    changes: [{ value: 5000 }, { description: 'changed' }, { preemptionPolicy: 'Never' }],
  },
  {
    ...clusterWide('node.k8s.io/v1', 'RuntimeClass', 'runtimeclasses'),
    make: () => ({ handler: 'runsc' }),
    changes: [
      { handler: 'other' },
      { overhead: { podFixed: { memory: '10Mi' } } },
      { scheduling: { nodeSelector: { a: 'b' } } },
    ],
  },
  {
    ...clusterWide('storage.k8s.io/v1', 'StorageClass', 'storageclasses'),
    make: () => ({ provisioner: 'example.com/none', parameters: { a: 'b' } }),
    changes: [{ provisioner: 'other.com/x' }, { allowVolumeExpansion: true }, { reclaimPolicy: 'Retain' }],
  },
  {
    ...clusterWide('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles'),
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
    ...clusterWide('v1', 'PersistentVolume', 'persistentvolumes'),
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
    ...clusterWide('v1', 'Node', 'nodes'),
    make: () => ({ spec: { podCIDR: '10.1.0.0/24' }, metadata: { labels: { 'kubernetes.io/os': 'linux' } } }),
    changes: [
      { spec: { unschedulable: true } },
      { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } },
      { spec: { podCIDR: '10.2.0.0/24' } },
    ],
  },
]
