import type { KubeObject, UserInfo } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AdmittedCluster, type Given, object, pod, startAdmittedCluster } from '../testing/admitted-cluster.ts'

const node: UserInfo = { username: 'system:node:n', groups: ['system:nodes', 'system:authenticated'] }

let cluster: AdmittedCluster
beforeAll(async () => {
  cluster = await startAdmittedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('nodes', () => {
  const at = (name: string) =>
    object('Pod', name, { metadata: { namespace: 'a' }, spec: { nodeName: name === 'here' ? 'n' : 'other' } })
  const token = (uid: string, audiences: string[] = []) =>
    object('TokenRequest', 'x', {
      spec: { audiences, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'here', uid } },
    })

  const snapshot = (now: Record<string, object>, before: Record<string, object>): Given => ({
    operation: 'UPDATE',
    resource: 'sandboxsnapshots.caisson.dev',
    name: 's',
    object: object('SandboxSnapshot', 's', now),
    oldObject: object('SandboxSnapshot', 's', before),
  })

  test.each<[name: string, given: Given, expected: string]>([
    [
      'own Pod status',
      { operation: 'UPDATE', subresource: 'status', object: at('here'), oldObject: at('here') },
      'admitted',
    ],
    [
      'the status of a Pod elsewhere',
      { operation: 'UPDATE', subresource: 'status', object: at('there'), oldObject: at('there') },
      '403 pods "there" is forbidden: node "n" can only update pod status for pods with spec.nodeName set to itself',
    ],
    ['deleting its own Pod', { operation: 'DELETE', name: 'here', oldObject: at('here') }, 'admitted'],
    [
      'deleting a Pod elsewhere',
      { operation: 'DELETE', name: 'there', oldObject: at('there') },
      '403 pods "there" is forbidden: node "n" can only delete pods with spec.nodeName set to itself',
    ],
    [
      'a new Pod',
      { object: pod({ nodeName: 'n' }) },
      '403 pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n" can only create mirror pods',
    ],
    [
      'a binding',
      { subresource: 'binding', name: 'here', object: object('Binding', 'here') },
      `403 pods "here" is forbidden: unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`,
    ],
    [
      'itself',
      {
        resource: 'nodes',
        namespace: '',
        object: object('Node', 'n', {
          metadata: { labels: { 'kubernetes.io/os': 'linux', 'gvisor.enabled': 'true' } },
        }),
      },
      'admitted',
    ],
    [
      'another node',
      { resource: 'nodes', namespace: '', object: object('Node', 'm') },
      '403 nodes "m" is forbidden: node "n" is not allowed to modify node "m"',
    ],
    [
      'a label that steers Pods',
      {
        resource: 'nodes',
        namespace: '',
        object: object('Node', 'n', { metadata: { labels: { 'node-restriction.kubernetes.io/pci': 'x' } } }),
      },
      '403 nodes "n" is forbidden: node "n" is not allowed to set the following labels: node-restriction.kubernetes.io/pci',
    ],
    [
      'its own taints',
      {
        resource: 'nodes',
        namespace: '',
        operation: 'UPDATE',
        object: object('Node', 'n', { spec: {} }),
        oldObject: object('Node', 'n', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } }),
      },
      '403 nodes "n" is forbidden: node "n" is not allowed to modify taints',
    ],
    [
      'the status of a snapshot that was given to it',
      snapshot({ status: { nodeName: 'n', digest: 'x' } }, { status: { nodeName: 'n' } }),
      'admitted',
    ],
    [
      'the status of a snapshot elsewhere',
      snapshot({ status: { nodeName: 'n' } }, { status: { nodeName: 'other' } }),
      '403 sandboxsnapshots.caisson.dev "s" is forbidden: node "n" can only update snapshots with status.nodeName set to itself',
    ],
    [
      'to whom a snapshot belongs',
      snapshot({ metadata: { ownerReferences: [] }, status: { nodeName: 'n' } }, { status: { nodeName: 'n' } }),
      '403 sandboxsnapshots.caisson.dev "s" is forbidden: node "n" cannot update ownerReferences of snapshots',
    ],
    [
      'its lease',
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-node-lease', object: object('Lease', 'n') },
      'admitted',
    ],
    [
      "another node's lease",
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-node-lease', object: object('Lease', 'm') },
      '403 leases.coordination.k8s.io "m" is forbidden: can only access node lease with the same name as the requesting node',
    ],
    [
      'a lease that elects a leader',
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-system', object: object('Lease', 'n') },
      '403 leases.coordination.k8s.io "n" is forbidden: can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      'the token of its Pod',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-1') },
      'admitted',
    ],
    [
      'a token for an audience that the Pod does not mount',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-1', ['vault']) },
      '403 serviceaccounts "default" is forbidden: audience "vault" not found in pod spec volume, system:node:n is not authorized to request tokens for this audience',
    ],
    [
      'the token of a Pod of before',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-0') },
      '403 serviceaccounts "default" is forbidden: the UID in the bound object reference (pod-0) does not match the UID in record. The object might have been deleted and then recreated',
    ],
    [
      'a token bound to nothing',
      {
        resource: 'serviceaccounts',
        subresource: 'token',
        name: 'default',
        object: object('TokenRequest', 'x', { spec: {} }),
      },
      '403 serviceaccounts "default" is forbidden: node requested token not bound to a pod',
    ],
    [
      'a claim',
      { resource: 'persistentvolumeclaims', operation: 'UPDATE', object: object('PersistentVolumeClaim', 'c') },
      '403 persistentvolumeclaims "c" is forbidden: may only update PVC status',
    ],
    [
      'a node without a name',
      { user: { ...node, username: 'system:node:' }, object: pod() },
      '403 pods "p" is forbidden: could not determine node from user "system:node:"',
    ],
  ])('%s', (_name, given, expected) => {
    expect(cluster.refusal({ user: node, ...given })).toBe(expected)
  })

  test('one that only has the name of a node is no node', () => {
    const groups = ['system:authenticated']
    expect(cluster.refusal({ user: { username: 'system:node:n', groups }, object: pod() })).toBe('admitted')
  })

  const mirror = (owner: object, spec: object = {}) =>
    pod(
      { nodeName: 'n', ...spec },
      {
        annotations: { 'kubernetes.io/config.mirror': 'hash' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'node-1', controller: true, ...owner }],
      },
    )
  test.each<[name: string, given: KubeObject, expected: string]>([
    ['its own', mirror({}), 'admitted'],
    [
      'with a ConfigMap',
      mirror({}, { volumes: [{ name: 'v', configMap: { name: 's' } }] }),
      '403 pods "p" is forbidden: node "n" can not create pods that reference configmaps',
    ],
    [
      'with a volume of tomorrow',
      mirror({}, { volumes: [{ name: 'v', wormhole: {} }] }),
      '403 pods "p" is forbidden: node "n" can not create pods that reference wormhole volumes',
    ],
    [
      'of another node',
      mirror({ name: 'm' }),
      '403 pods "p" is forbidden: node "n" can only create pods with an owner reference set to itself',
    ],
    [
      'of a node of before',
      mirror({ uid: 'node-0' }),
      '403 pods "p" is forbidden: node n UID mismatch: expected node-0 got node-1',
    ],
  ])('a mirror Pod %s', (_name, given, expected) => {
    expect(cluster.refusal({ user: node, object: given })).toBe(expected)
  })

  test('a mirror Pod has no account, whoever makes it', () => {
    expect(cluster.refusal({ object: mirror({}, { serviceAccountName: 'default' }) })).toBe(
      '403 pods "p" is forbidden: a mirror pod may not reference service accounts',
    )
  })
})
