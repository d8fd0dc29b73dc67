import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { freePort } from '../testing/free-port.ts'
import { createLoopbackPorts } from './loopback-ports.ts'
import type { ServiceObject, SliceObject } from './service-model.ts'
import { createServiceRules, type ServiceRules, type ServiceRulesOptions } from './service-rules.ts'

const service = (ports: number, sessionAffinity: string): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: {
    clusterIP: '10.96.0.7',
    sessionAffinity,
    ports: Array.from({ length: ports }, (_, index) => ({ name: `p${index}`, port: index + 1, protocol: 'TCP' })),
  },
})
const slice = (ports: number, endpoints: number): SliceObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'default' },
  addressType: 'IPv4',
  ports: Array.from({ length: ports }, (_, index) => ({ name: `p${index}`, port: index + 1, protocol: 'TCP' })),
  endpoints: Array.from({ length: endpoints }, (_, index) => ({ addresses: [`10.0.0.${index + 1}`] })),
})

/** For endpoints that are all Pods of the namespace `default`. */
function startRules(onLeftOut: ServiceRulesOptions['onLeftOut']): AsyncDisposable & { rules: ServiceRules } {
  const onError = (error: unknown): never => {
    throw error
  }
  const loopback = createLoopbackPorts(onError)
  const rules = createServiceRules({ loopback, podNamespaceAt: () => 'default', onLeftOut })
  return { rules, [Symbol.asyncDispose]: () => loopback[Symbol.asyncDispose]() }
}

test('a Service that is larger than any may be leads nowhere until it is smaller, which is told once', async () => {
  const told: string[] = []
  await using started = startRules(({ metadata }, why) => told.push(`${metadata.name}: ${why}`))
  const { rules } = started
  const set = (ports: number, endpoints: number, affinity = 'None'): boolean | undefined => {
    rules.set('default/web', service(ports, affinity), [slice(ports, endpoints)])
    const change = rules.take()
    return change.has('service default/web') ? change.get('service default/web') !== undefined : undefined
  }
  expect([
    set(100, 10),
    set(100, 11),
    set(100, 11),
    set(100, 9),
    set(101, 1),
    set(3_000, 2),
    set(1, 1),
    set(10, 10, 'ClientIP'),
    set(10, 11, 'ClientIP'),
  ]).toEqual([true, false, undefined, true, false, undefined, true, true, false])
  expect(told).toEqual([
    'web: it has 1100 pairs of a port and an endpoint, and may have 1000',
    'web: it has 101 ports, and may have 100',
    'web: it has 3000 ports, and may have 100',
    'web: it has 110 pairs of a port and an endpoint, and may have 100',
  ])
})

test('of EndpointSlices that take too much to read none is read, and the Service leads nowhere', async () => {
  await using loopback = createLoopbackPorts(() => {})
  const told: string[] = []
  const rules = createServiceRules({
    loopback,
    podNamespaceAt: () => 'default',
    onLeftOut: (_, why) => told.push(why),
  })
  let read = 0
  const set = (slices: number, ports: number, endpoints: number): number | undefined => {
    const one = slice(ports, endpoints)
    const counted = new Proxy(one.endpoints ?? [], {
      get(target, key, receiver) {
        if (typeof key === 'string' && /^\d+$/.test(key)) read++
        return Reflect.get(target, key, receiver)
      },
    })
    read = 0
    rules.set(
      'default/web',
      service(ports, 'None'),
      Array.from({ length: slices }, () => ({ ...one, endpoints: counted })),
    )
    return rules.take().has('service default/web') ? read : undefined
  }
  expect(set(4, 10, 100)).toBe(4_000)
  expect(set(20, 100, 1_000)).toBe(0)
  expect(told).toEqual([
    'its EndpointSlices have 2002000 ports and pairs of a port and an endpoint, ready or not, and may have 5000',
  ])
})

test('the Services of a namespace that take more than their share lead nowhere, the youngest first, and those of others do', async () => {
  const told: string[] = []
  await using started = startRules(({ metadata }, why) => told.push(`${metadata.namespace}/${metadata.name}: ${why}`))
  const { rules } = started
  /** One of 100 ports with 10 endpoints counts for 2,000. */
  const set = (namespace: string, number: number, endpoints = 10): unknown => {
    const { metadata, ...rest } = service(100, 'None')
    const own = { ...metadata, namespace, name: `s${number}`, creationTimestamp: `202${number}` }
    rules.set(`${namespace}/s${number}`, { ...rest, metadata: own }, [slice(100, endpoints)])
    return taken()
  }
  const taken = (): unknown => [...rules.take()].map(([key, piece]) => [key, piece !== undefined])
  for (const number of [1, 2, 3, 4, 5]) expect(set('one', number)).toEqual([[`service one/s${number}`, true]])
  expect(set('one', 6)).toEqual([])
  expect(set('one', 6, 9)).toEqual([])
  expect(told).toEqual([expect.stringMatching(/^one\/s6: the older Services of namespace one leave too little/)])
  expect(set('two', 6)).toEqual([['service two/s6', true]])
  // An older one that comes closes the youngest, and one that goes makes room again.
  expect(set('one', 0)).toEqual([
    ['service one/s0', true],
    ['service one/s5', false],
  ])
  rules.set('one/s2', undefined, [])
  expect(taken()).toEqual([
    ['service one/s5', true],
    ['service one/s2', false],
  ])
  rules.set('one/s3', undefined, [])
  expect(taken()).toEqual([
    ['service one/s6', true],
    ['service one/s3', false],
  ])
})

test('a NodePort leads to Pods of its own namespace alone, whatever a slice of it names', async () => {
  const onError = (error: unknown): never => {
    throw error
  }
  await using stack = new AsyncDisposableStack()
  const places: AddressInfo[] = []
  for (const host of ['127.0.0.2', '127.0.0.3', '127.0.0.1']) {
    const server = createServer((socket) => socket.end(host)).listen(places[0]?.port ?? 0, host)
    await once(server, 'listening')
    stack.defer(() => void server.close())
    places.push(server.address() as AddressInfo)
  }
  const port = places[0]?.port ?? 0
  const nodePort = await freePort()
  const loopback = stack.use(createLoopbackPorts(onError))
  const namespaces: Record<string, string> = { '127.0.0.2': 'default', '127.0.0.3': 'other' }
  const rules = createServiceRules({ loopback, podNamespaceAt: (ip) => namespaces[ip], onLeftOut() {} })
  const asked = async (...addresses: string[]): Promise<string[]> => {
    const { spec, ...own } = service(1, 'None')
    const ports = (spec?.ports ?? []).map((each) => ({ ...each, nodePort }))
    const leading = {
      ...slice(1, 0),
      ports: [{ name: 'p0', port, protocol: 'TCP' }],
      endpoints: addresses.map((address) => ({ addresses: [address] })),
    }
    rules.set('default/web', { ...own, spec: { ...spec, ports } }, [leading])
    // What is asked of the loopback ports goes in order: this one listens when those before it do.
    await loopback.close('none')
    return await Promise.all(Array.from({ length: 20 }, () => text(connect({ host: '127.0.0.1', port: nodePort }))))
  }
  expect(new Set(await asked('127.0.0.2', '127.0.0.3', '127.0.0.1'))).toEqual(new Set(['127.0.0.2']))
  expect(new Set(await asked('127.0.0.3', '127.0.0.1'))).toEqual(new Set(['']))
})

test('a NodePort that another Service comes to have leads there, also where that is heard of first', async () => {
  await using stack = new AsyncDisposableStack()
  const server = createServer((socket) => socket.end('pod')).listen(0, '127.0.0.2')
  await once(server, 'listening')
  stack.defer(() => void server.close())
  const { port } = server.address() as AddressInfo
  const nodePort = await freePort()
  const errors: string[] = []
  const loopback = stack.use(createLoopbackPorts((_error, where) => errors.push(where)))
  const rules = createServiceRules({ loopback, podNamespaceAt: () => 'default', onLeftOut() {} })
  const set = (name: string): void => {
    const { metadata, spec, ...own } = service(1, 'None')
    const ports = (spec?.ports ?? []).map((each) => ({ ...each, nodePort }))
    const leading = { ...slice(1, 0), ports: [{ name: 'p0', port, protocol: 'TCP' }] }
    const endpoints = [{ addresses: ['127.0.0.2'] }]
    const about = { ...own, metadata: { ...metadata, name }, spec: { ...spec, ports } }
    rules.set(`default/${name}`, about, [{ ...leading, endpoints }])
  }
  set('before')
  set('after')
  rules.set('default/before', undefined, [])
  // What is asked of the loopback ports goes in order.
  await loopback.close('none')
  expect(await text(connect({ host: '127.0.0.1', port: nodePort }))).toBe('pod')
  expect(errors).toEqual([`node port tcp ${nodePort} of service default/after`])
})
