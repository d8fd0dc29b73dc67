/** What a repository that Argo CD or Flux follows may hold: every kind of ours, and words that a server may say otherwise. */

export const SANDBOXES = 'sandboxes.v1beta1.agents.x-k8s.io'
export const POOLS = 'sandboxwarmpools.v1beta1.extensions.agents.x-k8s.io'
export const FLAT_POOLS = 'sandboxwarmpools.v1alpha1.agents.x-k8s.io'

const CANONICAL = 'extensions.agents.x-k8s.io/v1beta1'
const FLAT = 'agents.x-k8s.io/v1alpha1'

/**
 * Its port does not say its protocol. One of Argo CD's comparisons goes by the OpenAPI document of version 2, where
 * kube-apiserver says no defaults of custom kinds, and finds such a port changed.
 */
export const WITHOUT_PROTOCOL = 'older-box'

/** Quantities that are not written in their shortest form, and nothing that a default would say. */
function podTemplate(image: string, protocol?: 'TCP'): object {
  return {
    metadata: { labels: { team: 'red' }, annotations: { 'example.com/note': 'yes' } },
    spec: {
      runtimeClassName: 'fake',
      containers: [
        {
          name: 'main',
          image,
          command: ['sleep', 'infinity'],
          env: [
            { name: 'EMPTY', value: '' },
            { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
          ports: [{ containerPort: 8080, protocol }],
          resources: { requests: { cpu: '0.05', memory: '65536Ki' }, limits: { cpu: '1000m', memory: '1024Mi' } },
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 5 },
        },
      ],
      volumes: [{ name: 'scratch', emptyDir: {} }],
    },
  }
}

/** @param pool how many members the pool has that says it */
export function objectsOf(namespace: string, { image, pool }: { image: string; pool: number }): readonly object[] {
  const object = (apiVersion: string, kind: string, name: string, spec: object) => ({
    apiVersion,
    kind,
    metadata: { name, namespace, labels: { team: 'red' }, annotations: { 'example.com/note': 'yes' } },
    spec,
  })
  const template = { podTemplate: podTemplate(image, 'TCP'), service: true }
  const inline = { spec: { podTemplate: podTemplate(image, 'TCP') } }
  return [
    object('agents.x-k8s.io/v1beta1', 'Sandbox', 'box', {
      ...template,
      volumeClaimTemplates: [
        {
          metadata: { name: 'workspace' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1024Mi' } } },
        },
      ],
      shutdownTime: '2099-01-01T00:00:00.000Z',
    }),
    object(FLAT, 'Sandbox', WITHOUT_PROTOCOL, { podTemplate: podTemplate(image), shutdownPolicy: 'Delete' }),
    object(CANONICAL, 'SandboxTemplate', 'web', {
      ...template,
      networkPolicy: { ingress: [{ from: [{ podSelector: {} }] }], egress: [] },
    }),
    object(CANONICAL, 'SandboxWarmPool', 'pool', { replicas: pool, sandboxTemplateRef: { name: 'web' } }),
    object(CANONICAL, 'SandboxWarmPool', 'by-hand', { sandboxTemplateRef: { name: 'web' } }),
    object(CANONICAL, 'SandboxWarmPool', 'by-load', { sandboxTemplateRef: { name: 'web' } }),
    object('autoscaling/v2', 'HorizontalPodAutoscaler', 'by-load', {
      scaleTargetRef: { apiVersion: CANONICAL, kind: 'SandboxWarmPool', name: 'by-load' },
      minReplicas: 2,
      maxReplicas: 3,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
      ],
    }),
    object(CANONICAL, 'SandboxClaim', 'claim', { warmPoolRef: { name: 'pool' } }),
    object(FLAT, 'SandboxTemplate', 'flat-web', template),
    object(FLAT, 'SandboxClaim', 'flat-claim', { templateRef: { name: 'flat-web' }, ttl: '1h' }),
    object(FLAT, 'SandboxWarmPool', 'flat-pool', { minSize: 1, maxSize: 3, idleTimeout: '5m', template: inline }),
  ]
}

/** Each with a condition Ready, and how `kubectl wait` names it. */
export const WITH_READINESS = [
  `${SANDBOXES}/box`,
  'sandboxes.v1alpha1.agents.x-k8s.io/older-box',
  `${POOLS}/pool`,
  `${POOLS}/by-hand`,
  `${POOLS}/by-load`,
  'sandboxclaims.v1beta1.extensions.agents.x-k8s.io/claim',
  'sandboxclaims.v1alpha1.agents.x-k8s.io/flat-claim',
  `${FLAT_POOLS}/flat-pool`,
]
