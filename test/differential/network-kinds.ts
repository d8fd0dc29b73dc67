/** What says how Pods are reached. */
import { clusterWide, type Kind, namespaced } from './kind.ts'

export const NETWORK_KINDS: readonly Kind[] = [
  {
    ...namespaced('networking.k8s.io/v1', 'Ingress', 'ingresses'),
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
    ...clusterWide('networking.k8s.io/v1', 'IngressClass', 'ingressclasses'),
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
    ...namespaced('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
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
    ...namespaced('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
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
]
