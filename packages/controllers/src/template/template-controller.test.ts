import { LABELS, nameHash } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { resources, sandboxClaims, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { isReady, useClaims } from '../testing/claim-fixture.ts'
import { startGarbageCollector } from '../testing/garbage-collector.ts'
import { startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)
const POLICY = 'web-network-policy'
const OWNED = [sandboxClaims, sandboxWarmPools, sandboxTemplates, SANDBOXES, PODS, resources.networkPolicies]

const policyIs = (holds: (owners: string[]) => boolean) =>
  until(t.client, resources.networkPolicies, { namespace: t.namespace, name: POLICY }, (policy) =>
    holds(policy ? (policy.metadata.ownerReferences ?? []).map(({ kind }) => kind) : []),
  )

test('a template that is deleted leaves its NetworkPolicy to what was made from it, to the last Pod', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await using _garbage = await startGarbageCollector(t.client, t.namespace, [...OWNED, resources.namespaces])
  await t.createTemplate()
  await t.createPool(1)
  await t.filledPool(1)
  await t.createClaim('mine')
  const claim = await t.untilClaim('mine', isReady)
  await t.client.delete(sandboxWarmPools, 'pool', { namespace: t.namespace })
  const before = await policyIs((owners) => owners.length === 2)
  await t.client.delete(sandboxTemplates, 'web', { namespace: t.namespace })
  const left = await policyIs((owners) => owners.length === 1)
  expect({ spec: left.spec, uid: left.metadata.uid }).toEqual({ spec: before.spec, uid: before.metadata.uid })
  expect(left.metadata.ownerReferences).toEqual([
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      name: t.namespace,
      uid: (await t.client.get(resources.namespaces, t.namespace)).metadata.uid,
    },
  ])
  // A Pod that takes its time to end.
  const pod = claim.status?.sandbox?.name ?? ''
  await t.client.patch(PODS, pod, { metadata: { finalizers: ['example.com/slow'] } }, { namespace: t.namespace })
  await t.client.delete(sandboxClaims, 'mine', { namespace: t.namespace })
  await until(t.client, SANDBOXES, { namespace: t.namespace, name: pod }, (sandbox) => sandbox === undefined)
  await t.running.controllers.idle()
  await policyIs((owners) => owners.length === 1)
  await t.client.patch(PODS, pod, { metadata: { finalizers: null } }, { namespace: t.namespace })
  await policyIs((owners) => owners.length === 0)
  expect(t.running.errors).toEqual([])
})

test('one of the same name takes it over', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await using _garbage = await startGarbageCollector(t.client, t.namespace, [...OWNED, resources.namespaces])
  await t.createTemplate()
  await t.createClaim('mine', { templateRef: { name: 'web' } })
  await t.untilClaim('mine', isReady)
  await t.client.delete(sandboxTemplates, 'web', { namespace: t.namespace })
  const left = await policyIs((owners) => owners.length === 1)
  const { metadata } = await t.createTemplate({ networkPolicy: { egress: [{}] } })
  const taken = await policyIs((owners) => owners.length === 2)
  expect(taken.metadata.uid).toBe(left.metadata.uid)
  expect(taken.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid])).toEqual([
    ['SandboxTemplate', metadata.uid],
    ['Namespace', left.metadata.ownerReferences?.[0]?.uid],
  ])
  expect(taken.spec).toEqual({
    podSelector: { matchLabels: { [LABELS.templateRefHash]: nameHash('web') } },
    policyTypes: ['Ingress', 'Egress'],
    egress: [{}],
  })
  await t.createClaim('next', { templateRef: { name: 'web' } })
  await t.untilClaim('next', isReady)
})

test('a NetworkPolicy that a server stores without its empty lists is written once', async () => {
  const peer = { podSelector: { matchLabels: {}, matchExpressions: [] } }
  await t.createTemplate({ networkPolicy: { ingress: [{ from: [], ports: [] }, { from: [peer] }] } })
  const { metadata } = await policyIs((owners) => owners.length === 2)
  await t.client.patch(
    sandboxTemplates,
    'web',
    { metadata: { annotations: { touched: '' } } },
    { namespace: t.namespace },
  )
  // Templates are looked at in the order in which they change: by then this one was.
  await t.createTemplate({}, 'after')
  await until(
    t.client,
    resources.networkPolicies,
    { namespace: t.namespace, name: 'after-network-policy' },
    (policy) => policy !== undefined,
  )
  await t.running.controllers.idle()
  const policy = await t.client.get(resources.networkPolicies, POLICY, { namespace: t.namespace })
  expect(policy.metadata.resourceVersion).toBe(metadata.resourceVersion)
})

test('what was left while no controller ran goes when one runs again, and nothing else that looks like it', async () => {
  await t.createTemplate()
  const { metadata, spec } = await policyIs((owners) => owners.length === 2)
  await t.running[Symbol.asyncDispose]()
  await t.client.delete(sandboxTemplates, 'web', { namespace: t.namespace })
  const ownerReferences = metadata.ownerReferences?.filter(({ kind }) => kind === 'Namespace') ?? []
  await t.client.patch(resources.networkPolicies, POLICY, { metadata: { ownerReferences } }, { namespace: t.namespace })
  const others = { 'mine-network-policy': [], 'other-network-policy': ownerReferences }
  for (const [name, owners] of Object.entries(others))
    await t.client.create(
      resources.networkPolicies,
      { metadata: { name, ownerReferences: owners }, spec: spec ?? { podSelector: {} } },
      { namespace: t.namespace },
    )
  await t.restart()
  await policyIs((owners) => owners.length === 0)
  await t.running.controllers.idle()
  const { items } = await t.client.list(resources.networkPolicies, { namespace: t.namespace })
  expect(new Set(items.map((policy) => policy.metadata.name))).toEqual(new Set(Object.keys(others)))
})

test('of two made in the same second whose names have the same hash one has a NetworkPolicy, and the other says why not', async () => {
  expect(nameHash('costarring')).toBe(nameHash('liquid'))
  // The one whose name comes first is made last: it may count as the older only where the other has no policy yet.
  await Promise.all([t.createTemplate({}, 'liquid'), t.createTemplate({}, 'costarring')])
  const said = async (): Promise<string[]> => {
    const { items } = await t.client.list(resources.networkPolicies, { namespace: t.namespace })
    const without = t.running.events.filter(({ reason }) => reason === 'NameCollision').map(({ about }) => about)
    return [...without, ...items.map(({ metadata }) => metadata.ownerReferences?.[0]?.name ?? '')].sort()
  }
  await expect.poll(said).toEqual(['costarring', 'liquid'])
  await t.running.controllers.idle()
  expect(await said()).toEqual(['costarring', 'liquid'])
})
