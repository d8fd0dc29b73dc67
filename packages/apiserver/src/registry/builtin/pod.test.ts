import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { podStrategy } from './pod.ts'
import { podTemplateStrategy } from './pod-template.ts'

test('a Pod is warned about when it is made, not each time it changes', () => {
  const ports = [{ containerPort: 80, protocol: 'TCP' }]
  const pod: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: {
      containers: [
        { name: 'a', ports },
        { name: 'b', ports },
      ],
    },
  }
  expect(podStrategy.warnings?.(pod)).toEqual([
    'spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]',
  ])
  expect(podStrategy.warnings?.(pod, pod)).toEqual([])
})

test('a Pod that a patch left without containers is refused', () => {
  const pod = (containers: object[] | null): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers, restartPolicy: 'Always', dnsPolicy: 'ClusterFirst' },
  })
  const errors = podStrategy.validateUpdate?.(pod(null), pod([{ name: 'a', image: 'b' }])) ?? []
  expect(errors.map(({ field, message }) => `${field}: ${message}`)).toContain(
    'spec.containers: Forbidden: pod updates may not add or remove containers',
  )
})

const placed = {
  affinity: {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 1,
          preference: { matchExpressions: [{ key: 'beta.kubernetes.io/os', operator: 'In', values: ['a b'] }] },
        },
      ],
    },
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'a' }, { topologyKey: 'a', labelSelector: {} }],
    },
  },
  volumes: [{ name: 'v', flocker: { datasetName: 'a' } }],
  containers: [{ name: 'a', image: 'x' }],
}

test('a Pod and a template are warned about old labels, selectors of nothing and volumes that are gone', () => {
  const value =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
  const terms = 'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference'
  const expected = [
    `${terms}.matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead`,
    `${terms}.matchExpressions[0].values[0]: a b is invalid, ${value}`,
    'spec.volumes[0].flocker: deprecated in v1.22, non-functional in v1.25+',
    'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod',
  ]
  const metadata = { name: 'p' }
  expect(podStrategy.warnings?.({ apiVersion: 'v1', kind: 'Pod', metadata, spec: placed })).toEqual(expected)
  const template: KubeObject = { apiVersion: 'v1', kind: 'PodTemplate', metadata, template: { spec: placed } }
  expect(podTemplateStrategy.warnings?.(template)).toEqual(expected.map((warning) => `template.${warning}`))
})

test('a template may have what a Pod may not: a token without an account, and spaces around an image', () => {
  const spec = {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    containers: [{ name: 'a', image: ' x ', imagePullPolicy: 'Always', terminationMessagePolicy: 'File' }],
    volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 'a', expirationSeconds: 3600 } }] } }],
  }
  const metadata = { name: 'p' }
  const of = (errors: ReadonlyArray<{ field?: string }> = []): unknown => errors.map(({ field }) => field)
  expect(of(podStrategy.validate?.({ apiVersion: 'v1', kind: 'Pod', metadata, spec }))).toEqual([
    'spec.volumes[0].projected.sources[0].serviceAccountToken',
    'spec.containers[0].image',
  ])
  expect(
    of(podTemplateStrategy.validate?.({ apiVersion: 'v1', kind: 'PodTemplate', metadata, template: { spec } })),
  ).toEqual([])
})
