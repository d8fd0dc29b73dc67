import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuthorizedCluster, binding, role, startAuthorizedCluster, user } from '../testing/authorized-cluster.ts'
import { reviewLocalSubjectAccess, reviewOwnAccess, reviewOwnRules, reviewSubjectAccess } from './access-reviews.ts'

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('reviews', () => {
  const review = (kind: string, spec: object, metadata: object = {}) => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind,
    metadata,
    spec,
  })
  const resourceAttributes = { verb: 'list', resource: 'pods', namespace: 'a' }

  test('answer what the authorizer decides', () => {
    const masters = review('SubjectAccessReview', { user: 'x', groups: ['system:masters'], resourceAttributes })
    expect(reviewSubjectAccess(cluster.authorizer, masters)).toEqual({ ...masters, status: { allowed: true } })
    const own = review('SelfSubjectAccessReview', { resourceAttributes })
    expect(reviewOwnAccess(cluster.authorizer, own, user('x')).status).toEqual({ allowed: false })
    const path = review('SelfSubjectAccessReview', { nonResourceAttributes: { verb: 'get', path: '/version' } })
    expect(reviewOwnAccess(cluster.authorizer, path, user('x', 'system:authenticated')).status).toEqual({
      allowed: true,
      reason: expect.stringContaining('RBAC: allowed by ClusterRoleBinding "system:'),
    })
    const local = review('LocalSubjectAccessReview', { user: 'x', resourceAttributes }, { namespace: 'a' })
    expect(reviewLocalSubjectAccess(cluster.authorizer, local, 'a').status).toEqual({ allowed: false })
  })

  test.each<[spec: object, metadata: object, message: string]>([
    [
      { user: 'x' },
      {},
      '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    ],
    [
      { resourceAttributes },
      {},
      '.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified',
    ],
    [
      { user: 'x', resourceAttributes },
      { name: 'n' },
      '.authorization.k8s.io "" is invalid: metadata: Invalid value: {"name":"n"}: must be empty',
    ],
  ])('%j %j is refused', (spec, metadata, message) => {
    expect(() => reviewSubjectAccess(cluster.authorizer, review('SubjectAccessReview', spec, metadata))).toThrow(
      message,
    )
  })

  test('rules of a namespace', async () => {
    const objects = [
      role('namer', [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }], 'a'),
      binding('namers', { kind: 'Role', name: 'namer' }, [{ kind: 'User', name: 'u' }], 'a'),
      binding('broken', { kind: 'Role', name: 'gone' }, [{ kind: 'User', name: 'u' }], 'a'),
    ]
    await cluster.put(...objects)
    const answer = reviewOwnRules(cluster.authorizer, review('SelfSubjectRulesReview', { namespace: 'a' }), user('u'))
    expect(answer.status).toEqual({
      resourceRules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }],
      nonResourceRules: [],
      incomplete: false,
      evaluationError: 'role.rbac.authorization.k8s.io "gone" not found',
    })
    await cluster.remove(...objects)
    expect(() => reviewOwnRules(cluster.authorizer, review('SelfSubjectRulesReview', {}), user('u'))).toThrow(
      'no namespace on request',
    )
  })
})
