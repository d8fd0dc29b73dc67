import type { KubeObject } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuthorizedCluster, attributes, startAuthorizedCluster, user } from '../testing/authorized-cluster.ts'
import { reviewOwnRules } from './access-reviews.ts'

const node = user('system:node:n', 'system:nodes')

const object = (kind: string, metadata: KubeObject['metadata'], spec: object): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { uid: `${metadata.name}-1`, ...metadata },
  spec,
})
const pod = (name: string, spec: object, annotations: Record<string, string> = {}) =>
  object('Pod', { name, namespace: 'a', annotations }, spec)

const mine = pod('mine', {
  nodeName: 'n',
  serviceAccountName: 'robot',
  imagePullSecrets: [{ name: 'pull' }],
  initContainers: [{ name: 'i', env: [{ name: 'x', valueFrom: { secretKeyRef: { name: 'init-env' } } }] }],
  containers: [
    {
      name: 'c',
      env: [{ name: 'x', valueFrom: { configMapKeyRef: { name: 'env-map' } } }],
      envFrom: [{ secretRef: { name: 'all-env' } }, { configMapRef: { name: 'all-map' } }],
    },
  ],
  volumes: [
    { name: 's', secret: { secretName: 'volume' } },
    { name: 'm', configMap: { name: 'volume-map' } },
    { name: 'p', projected: { sources: [{ secret: { name: 'part' } }, { configMap: { name: 'part-map' } }] } },
    { name: 'd', persistentVolumeClaim: { claimName: 'data' } },
    { name: 'own', ephemeral: {} },
    { name: 'driver', csi: { driver: 'x', nodePublishSecretRef: { name: 'publish' } } },
  ],
})
const others = pod('others', {
  nodeName: 'm',
  serviceAccountName: 'other',
  volumes: [
    { name: 's', secret: { secretName: 'foreign' } },
    { name: 'd', persistentVolumeClaim: { claimName: 'foreign' } },
  ],
})
const unbound = pod('unbound', { volumes: [{ name: 's', secret: { secretName: 'waiting' } }] })
const mirror = pod(
  'mirror',
  { nodeName: 'n', volumes: [{ name: 's', secret: { secretName: 'wished' } }] },
  { 'kubernetes.io/config.mirror': 'x' },
)
const volume = (name: string, claim: string) =>
  object(
    'PersistentVolume',
    { name },
    {
      claimRef: { namespace: 'a', name: claim },
      csi: { driver: 'x', nodeStageSecretRef: { name: `${name}-secret`, namespace: 'storage' } },
    },
  )

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
  await put('pods', mine, others, unbound, mirror)
  await put('persistentvolumes', volume('pv', 'data'), volume('foreign-pv', 'foreign'))
})
afterAll(() => cluster[Symbol.asyncDispose]())

async function put(resource: string, ...objects: KubeObject[]): Promise<void> {
  await cluster.store.write((transaction) => {
    for (const each of objects) transaction.put(resource, structuredClone(each))
  })
}

function decide(text: string, more: { fieldSelector?: string; who?: ReturnType<typeof user> } = {}): string {
  const { who = node, ...rest } = more
  const { allowed, reason } = cluster.authorizer.authorize({ ...attributes(who, text), ...rest })
  return allowed ? 'yes' : reason
}

const unrelated = "no relationship found between node 'n' and this object"

describe('a node', () => {
  test.each(
    `pull init-env all-env volume part publish`
      .split(' ')
      .flatMap((name) => ['get', 'list', 'watch'].map((verb) => `${verb} secrets in a named ${name}`)),
  )('may %s, which its Pod refers to', (request) => {
    expect(decide(request)).toBe('yes')
  })

  test.each<[request: string, decision: string]>([
    ['get configmaps in a named env-map', 'yes'],
    ['get configmaps in a named all-map', 'yes'],
    ['watch configmaps in a named volume-map', 'yes'],
    ['list configmaps in a named part-map', 'yes'],
    ['get configmaps in a named volume', unrelated],
    ['get persistentvolumeclaims in a named data', 'yes'],
    ['get persistentvolumeclaims in a named mine-own', 'yes'],
    ['patch persistentvolumeclaims/status in a named data', 'yes'],
    ['get persistentvolumes named pv', 'yes'],
    ['get secrets in storage named pv-secret', 'yes'],
    ['get pods in a named mine', 'yes'],
    ['watch pods in a named mine', 'yes'],
    ['create serviceaccounts/token in a named robot', 'yes'],
    ['get serviceaccounts in a named robot', 'yes'],

    ['get secrets in a named foreign', unrelated],
    ['get secrets in a named waiting', unrelated],
    ['get secrets in a named wished', unrelated],
    ['get secrets in b named volume', unrelated],
    ['get secrets in storage named foreign-pv-secret', unrelated],
    ['get configmaps in a named nothing', unrelated],
    ['get pods in a named others', unrelated],
    ['get persistentvolumes named foreign-pv', unrelated],
    ['get persistentvolumeclaims in a named foreign', unrelated],
    ['create serviceaccounts/token in a named other', unrelated],
    ['list secrets in a', 'No Object name found'],
    ['watch secrets in a', 'No Object name found'],
    ['list secrets', 'can only read namespaced object of this type'],
    ['list secrets named volume', 'can only read namespaced object of this type'],
    ['list configmaps', 'can only read namespaced object of this type'],
    ['create secrets in a', 'can only read resources of this type'],
    ['delete secrets in a named volume', 'can only read resources of this type'],
    ['get secrets/status in a named volume', 'cannot read subresource'],
    ['list persistentvolumes', 'can only get individual resources of this type'],
    ['watch persistentvolumeclaims in a named data', 'can only get individual resources of this type'],
    ['get persistentvolumes/status named pv', 'cannot get subresource'],
    ['get persistentvolumeclaims/status in a named data', 'can only get/update/patch this type'],
    ['create serviceaccounts in a named robot', 'can only create token subresource of serviceaccount'],
    ['list serviceaccounts in a', 'can only create tokens for individual service accounts'],

    ['list pods', 'can only list/watch pods with spec.nodeName field selector'],
    ['create pods in a', 'yes'],
    ['delete pods in a named others', 'yes'],
    ['patch pods/status in a named mine', 'yes'],
    ['create pods/eviction in a named mine', 'yes'],
    ['patch pods in a named mine', ''],
    ['create pods/exec in a named mine', ''],

    ['get nodes named n', 'yes'],
    ['watch nodes named n', 'yes'],
    ['create nodes', 'yes'],
    ['patch nodes/status named n', 'yes'],
    ['get nodes named m', "node 'n' cannot read 'm', only its own Node object"],
    ['list nodes', "node 'n' cannot read all nodes, only its own Node object"],
    ['delete nodes named n', ''],
    ['get nodes/proxy named n', ''],

    ['get leases.coordination.k8s.io in kube-node-lease named n', 'yes'],
    ['create leases.coordination.k8s.io in kube-node-lease', 'yes'],
    [
      'patch leases.coordination.k8s.io in kube-node-lease named m',
      'can only access node lease with the same name as the requesting node',
    ],
    [
      'get leases.coordination.k8s.io in kube-system named n',
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      'list leases.coordination.k8s.io in kube-node-lease',
      'can only get, create, update, patch, or delete a node lease',
    ],
    ['get csinodes.storage.k8s.io named n', 'yes'],
    ['get csinodes.storage.k8s.io named m', 'can only access CSINode with the same name as the requesting node'],

    ['list services', 'yes'],
    ['watch runtimeclasses.node.k8s.io', 'yes'],
    ['create events in a', 'yes'],
    ['list clusterroles.rbac.authorization.k8s.io', ''],
    ['get /metrics', ''],
  ])('asks to %s: %s', (request, decision) => {
    expect(decide(request)).toBe(decision)
  })

  test.each<[fieldSelector: string, decision: string]>([
    ['spec.nodeName=n', 'yes'],
    ['status.phase!=Failed,spec.nodeName==n', 'yes'],
    ['spec.nodeName=m', 'can only list/watch pods with spec.nodeName field selector'],
    ['spec.nodeName!=n', 'can only list/watch pods with spec.nodeName field selector'],
    ['nonsense', 'can only list/watch pods with spec.nodeName field selector'],
  ])('lists Pods by %s: %s', (fieldSelector, decision) => {
    expect(decide('list pods', { fieldSelector })).toBe(decision)
  })

  test('that cannot be told, or is none, is nobody', () => {
    const request = 'get secrets in a named volume'
    expect([
      decide(request, { who: user('system:node:', 'system:nodes') }),
      decide(request, { who: user('system:node:n') }),
      decide(request, { who: user('n', 'system:nodes') }),
    ]).toEqual(['unknown node for user "system:node:"', '', ''])
  })

  test('has no rules that could be listed', () => {
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', metadata: {} }
    const { status } = reviewOwnRules(cluster.authorizer, { ...review, spec: { namespace: 'a' } }, node)
    expect(status).toMatchObject({
      incomplete: true,
      evaluationError: 'node authorizer does not support user rule resolution',
    })
  })
})

describe('what a node may read', () => {
  const secret = (name: string) => decide(`get secrets in a named ${name}`)

  test('comes with a Pod, grows by what is put into it, and goes with the last one', async () => {
    const volumes = [{ name: 's', secret: { secretName: 'shared' } }]
    const one = pod('one', { nodeName: 'n', volumes })
    const debug = { name: 'd', envFrom: [{ secretRef: { name: 'debug' } }] }
    await put('pods', pod('one', { volumes }))
    expect(secret('shared')).toBe(unrelated)
    await put('pods', one, pod('two', { nodeName: 'n', volumes }))
    expect([secret('shared'), secret('debug')]).toEqual(['yes', unrelated])
    await put('pods', pod('one', { nodeName: 'n', volumes, ephemeralContainers: [debug] }))
    expect([secret('shared'), secret('debug')]).toEqual(['yes', 'yes'])
    await cluster.store.write((transaction) => transaction.delete('pods', structuredClone(one)))
    expect([secret('shared'), secret('debug')]).toEqual(['yes', unrelated])
    await cluster.store.write((transaction) => transaction.delete('pods', structuredClone(pod('two', {}))))
    expect(secret('shared')).toBe(unrelated)
  })

  test('of a volume ends with its claim', async () => {
    const stored = () => decide('get secrets in storage named late-secret')
    await put('persistentvolumes', volume('late', 'data'))
    expect([stored(), decide('get persistentvolumes named late')]).toEqual(['yes', 'yes'])
    await put('persistentvolumes', volume('late', 'foreign'))
    expect([stored(), decide('get persistentvolumes named late')]).toEqual([unrelated, unrelated])
  })
})
