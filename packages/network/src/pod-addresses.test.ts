import { expect, test } from 'vitest'
import { policyPod } from './pod-addresses.ts'

test('a Pod’s ports have names for policies, each once and the first 16', () => {
  const port = (name: string | undefined, containerPort: number): { name?: string; containerPort: number } => ({
    ...(name && { name }),
    containerPort,
  })
  const many = Array.from({ length: 40 }, (_, at) => port(`p${at}`, at + 1))
  const { ports } = policyPod(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        initContainers: [
          { name: 'before', ports: [port('before', 1)] },
          { name: 'beside', restartPolicy: 'Always', ports: [port('beside', 2)] },
        ],
        containers: [
          { name: 'one', ports: [port('http', 80), port(undefined, 81), port('http', 80)] },
          { name: 'two', ports: many },
        ],
      },
    },
    undefined,
    { uid: 'u', ip: '10.0.0.2', isolated: false },
  )
  expect(ports.map(({ name }) => name)).toEqual(['beside', 'http', ...Array.from({ length: 14 }, (_, at) => `p${at}`)])
  expect(ports[1]).toEqual({ name: 'http', protocol: 'tcp', port: 80 })
})
