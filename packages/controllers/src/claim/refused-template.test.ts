/** What the API server refuses for good of what is made from a template: until that is edited. */
import { findCondition } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type AnyObject, defineResource, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { beforeEach, expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, reasonIs, useClaims } from '../testing/claim-fixture.ts'
import { sandboxNamed, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)
const admission = (kind: string, plural: string) =>
  defineResource<AnyObject & { spec: object }>({
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    plural,
    kind,
    namespaced: false,
  })
const POLICIES = admission('ValidatingAdmissionPolicy', 'validatingadmissionpolicies')
const BINDINGS = admission('ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings')

/** An administrator wants Sandboxes to say how long they take to end. */
beforeEach(async () => {
  const metadata = { name: t.namespace }
  const rules = [
    { operations: ['CREATE'], apiGroups: ['agents.x-k8s.io'], apiVersions: ['*'], resources: ['sandboxes'] },
  ]
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': t.namespace } }
  const validations = [
    { expression: 'has(object.spec.podTemplate.spec.terminationGracePeriodSeconds)', message: 'how long?' },
  ]
  await t.client.create(POLICIES, {
    metadata,
    spec: { matchConstraints: { resourceRules: rules, namespaceSelector }, validations },
  })
  await t.client.create(BINDINGS, {
    metadata,
    spec: { policyName: t.namespace, validationActions: ['Deny'] },
  })
  const asked = { namespace: t.namespace, dryRun: true }
  const passes = () =>
    t.client.create(SANDBOXES, sandboxNamed('asked'), asked).then(
      () => true,
      () => false,
    )
  await expect.poll(passes).toBe(false)
  return async () => {
    await t.client.delete(BINDINGS, t.namespace)
    await t.client.delete(POLICIES, t.namespace)
  }
})

const sayHowLong = () =>
  t.client.patch(
    sandboxTemplates,
    'web',
    { spec: { podTemplate: { spec: { terminationGracePeriodSeconds: 5 } } } },
    { namespace: t.namespace },
  )

test('a claim whose Sandbox is refused has one made once the template is edited', async () => {
  await t.createTemplate()
  await t.createClaim('mine', { templateRef: { name: 'web' } })
  await t.untilClaim('mine', reasonIs('InvalidConfiguration'))
  await t.running.controllers.idle()
  expect(t.running.writes.filter((write) => write === 'POST sandboxes')).toHaveLength(1)
  await sayHowLong()
  const made = await t.untilClaim('mine', ({ status }) => status?.sandbox?.name === 'mine')
  expect(isReady(made)).toBe(false)
})

test('a claim whose Sandbox was refused takes a member once there is one', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  await t.createClaim('mine', { warmPoolRef: { name: 'pool' } })
  await t.createPool(0)
  await t.untilClaim('mine', reasonIs('InvalidConfiguration'))
  await sayHowLong()
  await t.untilClaim('mine', isReady)
})

test('a pool whose members were refused says nothing more of that once it has them', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  await t.createPool(2)
  const at = { namespace: t.namespace, name: 'pool' }
  await until(
    t.client,
    sandboxWarmPools,
    at,
    (pool) => findCondition(pool?.status?.conditions, 'Degraded')?.reason === 'MemberCreationFailed',
  )
  await sayHowLong()
  await t.filledPool(2)
  await t.running.controllers.idle()
  const { status } = await t.client.get(sandboxWarmPools, 'pool', { namespace: t.namespace })
  expect(findCondition(status?.conditions, 'Degraded')).toMatchObject({ status: 'False', reason: 'AsExpected' })
})
