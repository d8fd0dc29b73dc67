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
