import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type AnyObject, resources } from '@caisson/client'
import { removeTree } from '@caisson/kubelet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPartWiring, type PartOptions, type PartWiring } from '../part-wiring.ts'
import { bindingScenarios, outcomeOf, playScenario } from '../testing/binding-scenarios.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { claimsOf, PODS_BY_CLAIM } from './bind.ts'
import { BOUND_BY_CONTROLLER } from './plan-claim.ts'
import { startVolumeBinding, type VolumesInUse } from './start-volume-binding.ts'

const stack = new AsyncDisposableStack()
const events: [about: string, said: string][] = []
const errors: unknown[] = []
let server: TestServer

function wire(stack: AsyncDisposableStack): PartWiring {
  const { informers, own: client, signal } = server
  const record: PartOptions['record'] = (_component, { metadata }, { reason, message }) =>
    events.push([metadata.name ?? '', `${reason}: ${message}`])
  return createPartWiring({ client, informers, record, onError: (error) => errors.push(error), signal }, stack)
}

beforeAll(async () => {
  server = stack.use(await startTestServer({ startApiServer, componentUsers }))
  const { informers, signal } = server
  informers.of(resources.pods, { indexers: { [PODS_BY_CLAIM]: claimsOf } })
  for (const each of ['nodes', 'persistentVolumes', 'persistentVolumeClaims', 'storageClasses'] as const)
    informers.of<AnyObject>(resources[each])
  await informers.synced(signal)
  startVolumeBinding(wire(stack), { directory: '/nowhere', removeTree })
})
afterAll(() => stack.disposeAsync())

test.each(bindingScenarios)('$title', async (scenario) => {
  await playScenario(server.client, scenario)
  const eventsOf = (claim: string) => events.filter(([about]) => about === claim).map(([, said]) => said)
  await expect.poll(() => outcomeOf(server.client, scenario, eventsOf)).toEqual(scenario.expected)
  expect(errors).toEqual([])
})

test('a volume that its claim has no use for is free again', async () => {
  const { client } = server
  const [claim] = (await client.list(resources.persistentVolumeClaims, { namespace: 'default' })).items
  const claimRef = { namespace: 'default', name: claim?.metadata.name ?? '', uid: claim?.metadata.uid ?? '' }
  const spec = {
    capacity: { storage: '1Gi' },
    claimRef,
    accessModes: ['ReadWriteOnce'],
    hostPath: { path: '/volumes/other' },
  }
  const { uid: _, ...kept } = claimRef
  const found = { [BOUND_BY_CONTROLLER]: 'yes' }
  for (const { name, annotations, left } of [
    { name: 'kept-by-its-maker', annotations: {}, left: kept },
    { name: 'found-by-the-controller', annotations: found, left: undefined },
  ]) {
    await client.create(resources.persistentVolumes, { metadata: { name, annotations }, spec })
    await expect
      .poll(async () => {
        const volume = await client.get(resources.persistentVolumes, name)
        return [volume.status?.phase, volume.spec?.claimRef, volume.metadata.annotations]
      })
      .toEqual(['Available', left, undefined])
  }
})

test('a claim that waits for the volume that it names gets it once that is there', async () => {
  const { client } = server
  const common = { accessModes: ['ReadWriteOnce'], storageClassName: 'late' }
  const spec = { ...common, volumeName: 'late', resources: { requests: { storage: '1Gi' } } }
  await client.create(resources.persistentVolumeClaims, { metadata: { name: 'late' }, spec }, { namespace: 'default' })
  const volume = { ...common, capacity: { storage: '1Gi' }, hostPath: { path: '/volumes/late' } }
  await client.create(resources.persistentVolumes, { metadata: { name: 'late' }, spec: volume })
  await expect
    .poll(async () => {
      const { metadata, status } = await client.get(resources.persistentVolumeClaims, 'late', { namespace: 'default' })
      return [status?.phase, metadata.annotations]
    })
    .toEqual(['Bound', { 'pv.kubernetes.io/bind-completed': 'yes' }])
})

test('what a node has no more is heard of until the end, however late the node comes', async () => {
  const node = Promise.withResolvers<VolumesInUse>()
  const making = new AsyncDisposableStack()
  startVolumeBinding(wire(making), { directory: '/nowhere', removeTree, volumesInUse: node.promise })
  const made = making.move()
  let listeners = 0
  const onLeft = () => {
    listeners++
    return { [Symbol.dispose]: () => void listeners-- }
  }
  node.resolve({ has: () => false, onLeft })
  await expect.poll(() => listeners).toBe(1)
  await made.disposeAsync()
  expect(listeners).toBe(0)
})
