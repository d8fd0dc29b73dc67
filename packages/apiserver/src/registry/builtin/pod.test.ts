import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { podStrategy } from './pod.ts'

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
