import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Policy, type PolicyPod, readPolicy } from '../policy/policy-model.ts'
import type { GatewayDoor } from './doors.ts'
import { openProcessDoor, processSlices } from './process-service.ts'
import { type ServiceObject, type SliceObject, servicePorts } from './service-model.ts'

const POD: PolicyPod = {
  uid: 'client',
  ip: '127.0.0.2',
  namespace: 'team',
  labels: { app: 'client' },
  namespaceLabels: { 'kubernetes.io/metadata.name': 'team' },
  ports: [],
  isolated: false,
}

let policies: Policy[]
let pods: PolicyPod[]
let callers: string[]
let door: GatewayDoor
let stack: AsyncDisposableStack
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  policies = []
  pods = [POD]
  callers = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.pipe(socket)
    socket.write('process')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  door = stack.use(
    await openProcessDoor({
      host: '127.0.0.1',
      process: {
        namespace: 'system',
        name: 'router-svc',
        labels: { app: 'router' },
        port: 8080,
        async connect(ip) {
          callers.push(ip)
          return connect({ host: '127.0.0.1', port })
        },
      },
      namespaceObject: () => undefined,
      podAt: (ip) => pods.find((pod) => pod.ip === ip),
      policies: () => policies,
    }),
  )
})
afterEach(() => stack.disposeAsync())

/** What is heard first on a connection: `process`, or nothing where it is closed. */
async function dial(localAddress: string): Promise<{ said: string; closed: Promise<unknown> }> {
  const socket = connect({ host: '127.0.0.1', port: door.port, localAddress })
  stack.defer(() => void socket.destroy())
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  return { said: await Promise.race([closed.then(() => ''), once(socket, 'data').then(String)]), closed }
}
const said = async (): Promise<string> => (await dial(POD.ip)).said

function policy(namespace: string, spec: object): Policy {
  return readPolicy({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'p', namespace, uid: namespace },
    spec: { podSelector: {}, ...spec },
  })
}

test('Pods get through, and nobody else', async () => {
  expect([await said(), (await dial('127.0.0.3')).said, (await dial('127.0.0.1')).said]).toEqual(['process', '', ''])
  expect(callers).toEqual([POD.ip])
})

test('policies of both sides decide', async () => {
  const router = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'system' } },
    podSelector: { matchLabels: { app: 'router' } },
  }
  const by = async (...own: Policy[]): Promise<string> => {
    policies = own
    return await said()
  }
  const port = { protocol: 'TCP', port: 8080 }
  expect({
    'nothing goes out': await by(policy('team', { policyTypes: ['Egress'] })),
    'the router is open': await by(
      policy('team', { policyTypes: ['Egress'], egress: [{ to: [router], ports: [port] }] }),
    ),
    'another of its ports is': await by(
      policy('team', { policyTypes: ['Egress'], egress: [{ to: [router], ports: [{ ...port, port: 8081 }] }] }),
    ),
    'another Pod is': await by(
      policy('team', {
        policyTypes: ['Egress'],
        egress: [{ to: [{ podSelector: { matchLabels: { app: 'router' } } }] }],
      }),
    ),
    'nothing comes in': await by(policy('system', { policyTypes: ['Ingress'] })),
    'the client may come in': await by(
      policy('system', {
        ingress: [{ from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'client' } } }] }],
      }),
    ),
  }).toEqual({
    'nothing goes out': '',
    'the router is open': 'process',
    'another of its ports is': '',
    'another Pod is': '',
    'nothing comes in': '',
    'the client may come in': 'process',
  })
})

test('a Pod that may do nothing does not get through', async () => {
  pods = [{ ...POD, isolated: true }]
  expect(await said()).toBe('')
})

test('what is open ends when it may not be any more', async () => {
  const { said, closed } = await dial(POD.ip)
  door.recheck()
  policies = [policy('team', { policyTypes: ['Egress'] })]
  door.recheck()
  await closed
  expect(said).toBe('process')
})

const SERVICE: ServiceObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'router-svc', namespace: 'system', uid: 'u' },
  spec: {
    clusterIP: '10.96.0.9',
    ports: [
      { name: 'http', port: 8080 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  },
}
const targets = (slices: readonly SliceObject[]): unknown[] =>
  servicePorts(SERVICE, slices).map(({ targets }) => targets)

test('the Service leads to the door, as long as it leads nowhere else', () => {
  const door = { ip: '10.0.0.1', port: 4000 }
  const own: SliceObject = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'own' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.7'] }],
    ports: [{ name: 'http', port: 80 }],
  }
  expect([
    targets(processSlices(SERVICE, [], door)),
    targets(processSlices(SERVICE, [], undefined)),
    targets(processSlices(SERVICE, [own], door)),
    processSlices(undefined, [], door),
  ]).toEqual([[[door], []], [[], []], [[{ ip: '10.0.0.7', port: 80 }], []], []])
})
