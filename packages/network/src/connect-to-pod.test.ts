import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { connectToPod } from './connect-to-pod.ts'
import type { NameView } from './dns/records.ts'

test('a Service leads to Pods of its own namespace alone, whatever a slice of it names', async () => {
  await using stack = new AsyncDisposableStack()
  const server = createServer((socket) => socket.end('pod')).listen(0, '127.0.0.2')
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const { port } = server.address() as AddressInfo
  const namesOf = (podNamespace: string): NameView => ({
    domain: 'cluster.local',
    hasNamespace: () => true,
    service: (namespace, name) => ({
      service: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace, name, uid: 'u' },
        spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }] },
      },
      slices: [
        {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: { namespace, name },
          addressType: 'IPv4',
          ports: [{ port }],
          endpoints: [{ addresses: ['127.0.0.2'] }],
        },
      ],
    }),
    serviceAt: () => undefined,
    endpointsAt: () => [],
    podNamespaceAt: (ip) => (ip === '127.0.0.2' ? podNamespace : undefined),
    isOwn: () => true,
  })
  const asked = async (podNamespace: string): Promise<string> =>
    text(await connectToPod('web.one.svc', 80, { names: namesOf(podNamespace), signal: undefined }))
  expect(await asked('one')).toBe('pod')
  await expect(asked('two')).rejects.toThrow('no endpoints available for service "web"')
})
