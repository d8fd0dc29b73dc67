import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { startTemporaryServer, startWholeServer } from './testing/whole-server.ts'

const SERVICE = '/api/v1/namespaces/default/services/kubernetes'
const CIDR = '/apis/networking.k8s.io/v1/servicecidrs/kubernetes'
const SLICE = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes'

function content({ metadata, ...rest }: KubeObject): object {
  return { labels: metadata.labels, ...rest }
}

test('a new cluster has Service default/kubernetes, and what it leads to', async () => {
  await using api = await startTemporaryServer()
  const read = async (path: string): Promise<object> => content((await api.request('GET', path)).body)
  expect(await read(SERVICE)).toEqual({
    kind: 'Service',
    apiVersion: 'v1',
    labels: { component: 'apiserver', provider: 'kubernetes' },
    spec: {
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1'],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: api.port }],
      sessionAffinity: 'None',
      type: 'ClusterIP',
    },
    status: { loadBalancer: {} },
  })
  expect(await read('/api/v1/namespaces/default/endpoints/kubernetes')).toEqual({
    kind: 'Endpoints',
    apiVersion: 'v1',
    labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    subsets: [{ addresses: [{ ip: '127.0.0.1' }], ports: [{ name: 'https', port: api.port, protocol: 'TCP' }] }],
  })
  expect(await read(SLICE)).toEqual({
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    labels: { 'kubernetes.io/service-name': 'kubernetes' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    ports: [{ name: 'https', port: api.port, protocol: 'TCP' }],
  })
  expect(await read('/apis/networking.k8s.io/v1/servicecidrs/kubernetes')).toEqual({
    kind: 'ServiceCIDR',
    apiVersion: 'networking.k8s.io/v1',
    spec: { cidrs: ['10.96.0.0/16'] },
    status: {
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: '',
          message: 'Kubernetes default Service CIDR is ready',
          lastTransitionTime: expect.stringMatching(/Z$/),
        },
      ],
    },
  })
  expect(api.reported).toEqual([])
})

test('the certificate of the server holds for every name that Pods know it by', async () => {
  await using api = await startTemporaryServer()
  const certificate = new X509Certificate(api.certificates.server.certificate)
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local']
  expect(names.map((name) => certificate.checkHost(name))).toEqual(names)
  expect(['10.96.0.1', '127.0.0.1'].map((address) => certificate.checkIP(address))).toEqual(['10.96.0.1', '127.0.0.1'])
})

test('who deletes or changes it finds it as it was', async () => {
  await using api = await startTemporaryServer()
  for (const spoil of [
    () => api.request('DELETE', SERVICE),
    () => api.request('DELETE', SLICE),
    () => api.request('DELETE', CIDR),
    () =>
      api.request('PATCH', SERVICE, {
        body: { spec: { ports: [{ port: 443, name: 'https', targetPort: 1, protocol: 'TCP' }] } },
        headers: { 'content-type': 'application/merge-patch+json' },
      }),
  ]) {
    const read = async (path: string): Promise<KubeObject> => (await api.request('GET', path)).body
    const found = async (): Promise<unknown[]> => [
      content(await read(SERVICE)),
      content(await read(SLICE)),
      (await read(CIDR)).spec,
    ]
    const before = await found()
    expect((await spoil()).status).toBe(200)
    // Others write too: which commit mends it nobody can tell.
    await expect.poll(found).toEqual(before)
  }
})

test('after a start on another port it leads there, and is the same object', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kubernetes-service-'))
  try {
    const first = await startWholeServer({}, directory)
    const uid = (await first.request('GET', SERVICE)).body.metadata.uid
    await using _blocker = await occupied(first.port, () => first[Symbol.asyncDispose]())
    await using second = await startWholeServer({}, directory)
    const { metadata, spec } = (await second.request('GET', SERVICE)).body
    expect([metadata.uid, spec.ports[0].targetPort]).toEqual([uid, second.port])
    expect((await second.request('GET', SLICE)).body.ports[0].port).toBe(second.port)
    expect(second.port).not.toBe(first.port)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

/** Takes the port once it is free. */
async function occupied(port: number, free: () => PromiseLike<void>): Promise<AsyncDisposable> {
  await free()
  const { createServer } = await import('node:net')
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) }
}
