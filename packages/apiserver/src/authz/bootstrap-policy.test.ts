import type { KubeObject, UserInfo } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { componentUsers } from '../authn/component-users.ts'
import {
  type AuthorizedCluster,
  attributes,
  binding,
  startAuthorizedCluster,
  user,
} from '../testing/authorized-cluster.ts'
import { ROLE_RESOURCES } from './binding-index.ts'
import { ensureBootstrapPolicy } from './bootstrap-policy.ts'
import { rulesOf } from './policy-rules.ts'

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('bootstrap policy', () => {
  test('is complete after one write and then writes nothing', async () => {
    const { revision } = cluster.store
    await ensureBootstrapPolicy(cluster.store, { now: () => 1 })
    expect(cluster.store.revision).toBe(revision)
  })

  test('gives back what was taken away, and keeps what was added', async () => {
    const view = cluster.store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject
    const added = { verbs: ['get'], nonResourceURLs: ['/mine'] }
    await cluster.put({ ...view, rules: [added] })
    await ensureBootstrapPolicy(cluster.store, { now: () => 1 })
    const restored = cluster.store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject
    expect(rulesOf(restored)[0]).toEqual(added)
    expect(cluster.authorizer.authorize(attributes(user('x', 'system:authenticated'), 'get /version')).allowed).toBe(
      true,
    )
    const optedOut = { ...view.metadata.annotations, 'rbac.authorization.kubernetes.io/autoupdate': 'false' }
    await cluster.put({ ...view, rules: [], metadata: { ...view.metadata, annotations: optedOut } })
    await ensureBootstrapPolicy(cluster.store, { now: () => 1 })
    expect(
      rulesOf(cluster.store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject),
    ).toEqual([])
    await cluster.put(view)
  })

  test('takes back from nodes what the first versions bound them to', async () => {
    const binding = cluster.store.get(ROLE_RESOURCES.clusterRoleBindings, undefined, 'system:node') as KubeObject
    const subject = (name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name })
    await cluster.put({ ...binding, subjects: [subject('system:nodes'), subject('mine')] })
    await ensureBootstrapPolicy(cluster.store, { now: () => 1 })
    const { subjects } = cluster.store.get(ROLE_RESOURCES.clusterRoleBindings, undefined, 'system:node') as KubeObject
    expect(subjects).toEqual([subject('mine')])
    await cluster.put(binding)
  })

  test.each<[who: UserInfo, request: string, allowed: boolean]>([
    [user('root', 'system:masters'), 'delete nodes named x', true],
    [user('x', 'system:authenticated'), 'get /apis/apps', true],
    [user('x', 'system:authenticated'), 'get /metrics', false],
    [user('x', 'system:monitoring'), 'get /metrics', true],
    [user('x', 'system:authenticated'), 'create selfsubjectaccessreviews.authorization.k8s.io', true],
    [user('x', 'system:authenticated'), 'create subjectaccessreviews.authorization.k8s.io', false],
    [user('x', 'system:authenticated'), 'list pods in default', false],
    [user('x'), 'get /apis', false],
    [user('system:kube-scheduler'), 'create pods/binding in a named x', true],
    [user('system:kube-scheduler'), 'get secrets in a named x', false],
    [user('system:node:n', 'system:nodes'), 'patch pods/status in a named x', true],
    [user('system:node:n', 'system:nodes'), 'create serviceaccounts/token in a named x', false],
    [user('system:node:n', 'system:nodes'), 'list secrets', false],
    [user('system:node:n', 'system:nodes'), 'delete nodes named x', false],
    [user('system:node:n', 'system:nodes'), 'create clusterrolebindings.rbac.authorization.k8s.io', false],
    [
      user('system:serviceaccount:kube-system:namespace-controller'),
      'deletecollection sandboxes.agents.x-k8s.io in a',
      true,
    ],
    [user('system:serviceaccount:kube-system:generic-garbage-collector'), 'delete pods in a named x', true],
    [user('system:serviceaccount:kube-system:root-ca-cert-publisher'), 'create configmaps in a', true],
    [user('system:serviceaccount:kube-system:root-ca-cert-publisher'), 'create secrets in a', false],
    [componentUsers.controlPlane, 'patch sandboxes.agents.x-k8s.io in a named x', true],
    [componentUsers.controlPlane, 'create pods/binding in a named x', true],
    [componentUsers.controlPlane, 'create pods in a', true],
    [componentUsers.controlPlane, 'create services in a', false],
    [componentUsers.controlPlane, 'create deployments.apps in a', false],
    [componentUsers.controlPlane, 'create clusterrolebindings.rbac.authorization.k8s.io', false],
    [componentUsers.controlPlane, 'escalate clusterroles.rbac.authorization.k8s.io named x', false],
    [componentUsers.controlPlane, 'impersonate users named x', false],
    [componentUsers.sandboxController, 'create pods in a', true],
    [componentUsers.sandboxController, 'patch sandboxes/status.agents.x-k8s.io in a named x', true],
    // What a claim's variables refer to; by name only.
    [componentUsers.sandboxController, 'get secrets in a named x', true],
    [componentUsers.sandboxController, 'list secrets in a', false],
    [componentUsers.sandboxController, 'patch secrets in a named x', false],
  ])('%j: %s is %s', (who, request, allowed) => {
    expect(cluster.authorizer.authorize(attributes(who, request)).allowed).toBe(allowed)
  })

  test.each([
    ['view', 'get sandboxes.agents.x-k8s.io in a named x', true],
    ['view', 'create sandboxes.agents.x-k8s.io in a', false],
    ['view', 'get secrets in a named x', false],
    ['view', 'get pods/log in a named x', true],
    ['edit', 'create sandboxclaims.extensions.agents.x-k8s.io in a', true],
    ['edit', 'patch sandboxes/scale.agents.x-k8s.io in a named x', true],
    ['edit', 'patch sandboxes/status.agents.x-k8s.io in a named x', false],
    ['edit', 'create pods/exec in a named x', true],
    ['edit', 'create roles.rbac.authorization.k8s.io in a', false],
    ['admin', 'create roles.rbac.authorization.k8s.io in a', true],
    ['admin', 'delete sandboxwarmpools.agents.x-k8s.io in a named x', true],
    ['admin', 'update namespaces named a', false],
    ['admin', 'create sandboxes.agents.x-k8s.io in b', false],
  ])('%s in a namespace: %s is %s', async (name, request, allowed) => {
    const bound = binding('bound', { kind: 'ClusterRole', name }, [{ kind: 'User', name: 'tester' }], 'a')
    await cluster.put(bound)
    expect(cluster.authorizer.authorize(attributes(user('tester'), request)).allowed).toBe(allowed)
    await cluster.remove(bound)
    expect(cluster.authorizer.authorize(attributes(user('tester'), request)).allowed).toBe(false)
  })
})
