/** `spec.resources` of Pods: what is filled in beside what containers ask for, and what is refused. */
import { type Add, post } from './requests.ts'

type Amounts = Readonly<Record<string, string>>

interface Resources {
  requests?: Amounts
  limits?: Amounts
  claims?: ReadonlyArray<{ name: string }>
}

export function podLevelResources(add: Add): void {
  const container = (name: string, resources: Resources, more: object = {}): object => {
    return { name, image: 'x', resources, ...more }
  }
  const asking = (requests: Amounts): Resources => ({ requests })
  const sidecar = { restartPolicy: 'Always' }
  const pages = { cpu: '1', memory: '1Gi', 'hugepages-2Mi': '4Mi' }
  const specs: Record<string, object> = {
    'nobody asks': { containers: [container('a', {})], resources: { limits: { cpu: '2', memory: '1Gi' } } },
    'containers ask': {
      containers: [container('a', asking({ cpu: '0.5', memory: '100Mi' })), container('b', asking({ cpu: '250m' }))],
      resources: { limits: { cpu: '2', memory: '1Gi' } },
    },
    'for what the Pod has no limit of': {
      containers: [container('a', asking({ cpu: '500m', memory: '100Mi', 'ephemeral-storage': '1Gi' }))],
      resources: { limits: { memory: '1Gi' } },
    },
    'init containers': {
      initContainers: [
        container('i', asking({ cpu: '1500m', memory: '10Mi' })),
        container('s', asking({ cpu: '200m', memory: '50Mi' }), sidecar),
        container('j', asking({ cpu: '700m', memory: '1Gi' })),
        container('t', asking({ memory: '24Mi' }), sidecar),
      ],
      containers: [container('a', asking({ cpu: '1', memory: '950Mi' }))],
      resources: { limits: { cpu: '2', memory: '2Gi' } },
    },
    'init containers alone': {
      initContainers: [container('i', asking({ cpu: '1' }))],
      containers: [container('a', {})],
      resources: { limits: { cpu: '2', memory: '2Gi' } },
    },
    'amounts of one form and another': {
      containers: [
        container('a', asking({ memory: '1G', cpu: '0' })),
        container('b', asking({ memory: '1Gi', cpu: '1e2m' })),
      ],
      resources: { limits: { cpu: '2', memory: '3Gi' } },
    },
    'amounts of sum': {
      containers: [container('a', asking({ memory: '512Mi' })), container('b', asking({ memory: '536870912' }))],
      resources: { limits: { memory: '3Gi' } },
    },
    'huge pages of containers': {
      containers: [container('a', { limits: pages }), container('b', { limits: pages })],
      resources: { limits: { cpu: '2', memory: '2Gi' } },
    },
    'huge pages beside requests alone': {
      containers: [container('a', { limits: pages })],
      resources: { requests: { cpu: '2', memory: '2Gi' } },
    },
    'huge pages that it asks for itself': {
      containers: [container('a', { limits: pages })],
      resources: { requests: { cpu: '2', memory: '2Gi', 'hugepages-2Mi': '4Mi' } },
    },
    'huge pages of its own': {
      containers: [container('a', {})],
      resources: { limits: { cpu: '2', 'hugepages-2Mi': '4Mi' } },
    },
    'fewer huge pages than containers': {
      containers: [container('a', { limits: pages })],
      resources: { limits: { cpu: '2', memory: '2Gi', 'hugepages-2Mi': '2Mi' } },
    },
    'requests alone': { containers: [container('a', {})], resources: { requests: { cpu: '2' } } },
    nothing: { containers: [container('a', {})], resources: {} },
    'less than containers ask for': {
      containers: [container('a', asking({ cpu: '1' })), container('b', asking({ cpu: '1', memory: '1G' }))],
      resources: { requests: { cpu: '1500m' }, limits: { cpu: '4', memory: '500M' } },
    },
    'less than a container may have': {
      initContainers: [container('i', { limits: { cpu: '9' }, requests: { cpu: '0' } })],
      containers: [container('a', {}), container('b', { limits: { cpu: '3' }, requests: { cpu: '0' } })],
      resources: { limits: { cpu: '2' } },
    },
    'other names': {
      containers: [container('a', {})],
      resources: {
        limits: { 'ephemeral-storage': '1Gi', 'example.com/gpu': '1', unknown: '1', 'a b': '1', pods: '1' },
      },
    },
    claims: {
      containers: [container('a', {})],
      resourceClaims: [{ name: 'c', resourceClaimName: 'c' }],
      resources: { limits: { cpu: '1' }, claims: [{ name: 'c' }] },
    },
    'of Windows': { containers: [container('a', {})], os: { name: 'windows' }, resources: { limits: { cpu: '1' } } },
  }
  for (const [what, spec] of Object.entries(specs)) {
    const name = what.toLowerCase().replaceAll(' ', '-')
    add(
      `pod-level: ${what}`,
      post('/api/v1/namespaces/one/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }),
    )
  }
  const template = { metadata: { labels: { a: 'b' } }, spec: specs['init containers'] as object }
  add(
    'pod-level: a template',
    post('/apis/apps/v1/namespaces/one/deployments', {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'pod-level' },
      spec: { selector: { matchLabels: { a: 'b' } }, template },
    }),
  )
}
