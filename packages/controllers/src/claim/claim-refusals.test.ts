import { findCondition, LABELS, nameHash, type SandboxClaim } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { resources, sandboxClaims, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { CONTAINERS, isReady, reasonIs, said, useClaims } from '../testing/claim-fixture.ts'
import { QUOTAS, sandboxNamed, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

describe('names', () => {
  test('two pools whose names have one hash are two pools', async () => {
    expect(nameHash('costarring')).toBe(nameHash('liquid'))
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(2, {}, 'costarring')
    await t.createPool(1, {}, 'liquid')
    await t.filledPool(2, 'costarring')
    await t.filledPool(1, 'liquid')
    const names = ['a', 'b', 'c']
    for (const name of names)
      await t.createClaim(name, { warmPoolRef: { name: name === 'a' ? 'costarring' : 'liquid' } })
    const claims = await Promise.all(names.map((name) => t.untilClaim(name, isReady)))
    const from = claims.map(({ status }) => (status?.sandbox?.name ?? '').replace(/-.*/, ''))
    expect(from[0]).toBe('costarring')
    for (const pool of from.slice(1)) expect(['liquid', 'b', 'c']).toContain(pool)
    await t.filledPool(2, 'costarring')
    await t.filledPool(1, 'liquid')
    await t.running.controllers.idle()
    expect(t.running.events.filter(({ reason }) => reason === 'NameCollision')).toEqual([
      {
        about: 'liquid',
        type: 'Warning',
        reason: 'NameCollision',
        message:
          'the names of SandboxWarmPools "liquid" and "costarring" have the same hash: the label and the selector of their members are the same, so that an autoscaler of one measures the Pods of both',
      },
    ])
    expect(t.running.errors).toEqual([])
  })

  test('of 63 characters are names like others', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const [pool, warm, cold] = ['p', 'w', 'c'].map((letter) => letter.repeat(63)) as [string, string, string]
    await t.createTemplate()
    await t.createPool(1, {}, pool)
    await t.filledPool(1, pool)
    await t.createClaim(warm, { warmPoolRef: { name: pool } })
    const given = await t.untilClaim(warm, isReady)
    expect(given.status?.sandbox?.name?.length).toBeLessThanOrEqual(63)
    await t.createClaim(cold, { templateRef: { name: 'web' } })
    expect((await t.untilClaim(cold, isReady)).status?.sandbox?.name).toBe(cold)
  })
})

describe('what cannot be had', () => {
  /** The whole status, and that no more than it was written: nothing is tried again by itself. */
  async function expectRefusal(name: string, reason: string, message: string): Promise<void> {
    const claim = await t.untilClaim(name, reasonIs(reason))
    await t.running.controllers.idle()
    expect(said(claim)).toEqual({
      conditions: [{ type: 'Ready', status: 'False', reason, message, observedGeneration: 1 }],
    })
    expect(t.running.writes.filter((write) => write.includes('sandboxclaims/'))).toEqual([
      `PATCH sandboxclaims/${name}/status`,
    ])
    expect(t.running.errors).toEqual([])
    expect(
      (await t.client.list(SANDBOXES, { namespace: t.namespace })).items.map(({ metadata }) => metadata.name),
    ).not.toContain(name)
  }

  test('a pool that is not there, until it is', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createClaim('mine')
    await expectRefusal('mine', 'WarmPoolNotFound', 'SandboxWarmPool "pool" not found')
    await t.createPool(1)
    await t.untilClaim('mine', isReady)
  })

  test('no pool with the labels', async () => {
    await t.createClaim('mine', { warmPoolSelector: { matchLabels: { tier: 'mine' } } })
    await expectRefusal('mine', 'WarmPoolNotFound', 'no SandboxWarmPool of the namespace matches warmPoolSelector')
  })

  test('a template that is not there, until it is', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createPool(0)
    await t.createClaim('mine')
    await expectRefusal('mine', 'TemplateNotFound', 'SandboxTemplate "web" not found')
    await t.createTemplate()
    await t.untilClaim('mine', isReady)
  })

  test('rules that are none, until the template is edited: its pool says so as well', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const rules = (cidr: string) => ({ networkPolicy: { egress: [{ to: [{ ipBlock: { cidr } }] }] } })
    await t.createTemplate(rules('nonsense'))
    await t.createPool(1)
    await t.createClaim('mine')
    const claim = await t.untilClaim('mine', reasonIs('InvalidConfiguration'))
    const message = findCondition(claim.status?.conditions, 'Ready')?.message ?? ''
    expect(message).toMatch(
      /^NetworkPolicy "web-network-policy" of the template cannot be written, and no Sandbox is made without it: .*spec\.egress\[0\]\.to\[0\]\.ipBlock\.cidr: Invalid value: "nonsense"/,
    )
    await expectRefusal('mine', 'InvalidConfiguration', message)
    const at = { namespace: t.namespace, name: 'pool' }
    const degraded = await until(
      t.client,
      sandboxWarmPools,
      at,
      (pool) => findCondition(pool?.status?.conditions, 'Degraded')?.status === 'True',
    )
    const { reason, message: trouble } = findCondition(degraded.status?.conditions, 'Degraded') ?? {}
    expect([reason, trouble]).toEqual(['NetworkPolicyFailed', message])
    await t.client.patch(sandboxTemplates, 'web', { spec: rules('10.0.0.0/8') }, { namespace: t.namespace })
    await t.untilClaim('mine', isReady)
    await t.filledPool(1)
    await until(
      t.client,
      sandboxWarmPools,
      at,
      (pool) => findCondition(pool?.status?.conditions, 'Degraded')?.status === 'False',
    )
  })

  test('rules that are none, in place of others: what is there stays, and nothing more is made', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const rules = (cidr: string) => ({ networkPolicy: { egress: [{ to: [{ ipBlock: { cidr } }] }] } })
    await t.createTemplate(rules('10.0.0.0/8'))
    await t.createClaim('before', { templateRef: { name: 'web' } })
    await t.untilClaim('before', isReady)
    await t.client.patch(sandboxTemplates, 'web', { spec: rules('nonsense') }, { namespace: t.namespace })
    await expect.poll(() => t.running.writes).toContain('PATCH networkpolicies/web-network-policy')
    await t.running.controllers.idle()
    await t.createClaim('after', { templateRef: { name: 'web' } })
    await t.untilClaim('after', reasonIs('InvalidConfiguration'))
    await t.untilClaim('before', isReady)
  })

  test('a NetworkPolicy for which there is no room in the quota, until there is', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const hard = (count: string) => ({ hard: { 'count/networkpolicies.networking.k8s.io': count } })
    const at = { namespace: t.namespace }
    await t.client.create(QUOTAS, { metadata: { name: 'few' }, spec: hard('0') }, at)
    await t.createTemplate()
    await t.createClaim('mine', { templateRef: { name: 'web' } })
    await t.untilClaim('mine', reasonIs('ReconcilerError'))
    await t.client.patch(QUOTAS, 'few', { spec: hard('1') }, at)
    await t.untilClaim('mine', isReady)
  })

  test.each<[what: string, spec: Partial<SandboxClaim['spec']>, reason: string, message: string]>([
    [
      'a label without a domain',
      { additionalPodMetadata: { labels: { team: 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate label "team": label "team" must have a domain prefix (e.g. \'sandbox.users.io/my-label\') to prevent opting into unintended policy domains',
    ],
    [
      'a label of another domain',
      { additionalPodMetadata: { labels: { 'example.com/team': 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate label "example.com/team": label domain "example.com" is not in the allowlist (configure the allowed-label-domains key of the agent-sandbox-config ConfigMap in the controller namespace; default: sandbox.users.io)',
    ],
    [
      'an annotation of Kubernetes',
      { additionalPodMetadata: { annotations: { 'pod.kubernetes.io/x': 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate annotation "pod.kubernetes.io/x": restricted system domain: "pod.kubernetes.io/x" is not allowed in AdditionalPodMetadata',
    ],
    [
      'a label that the template has otherwise',
      { additionalPodMetadata: { labels: { 'sandbox.users.io/tier': 'mine' } } },
      'ReconcilerError',
      'Error seen: metadata override conflict: label "sandbox.users.io/tier" is defined in template with value "web", but claim requests "mine"',
    ],
    [
      'environment variables',
      { env: [{ name: 'A', value: 'b' }] },
      'EnvVarsInjectionRejected',
      'environment variable injection rejected: environment variable injection is not allowed by the template policy',
    ],
    [
      'storage',
      { volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }] },
      'VolumeClaimTemplatesError',
      'failed to merge volume claim templates: volume claim templates are disallowed by the template',
    ],
  ])('%s', async (_what, spec, reason, message) => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate({
      podTemplate: { metadata: { labels: { 'sandbox.users.io/tier': 'web' } }, spec: CONTAINERS },
    })
    await t.createPool(1)
    await t.filledPool(1)
    await t.createClaim('mine', spec)
    await expectRefusal('mine', reason, message)
  })

  test('an environment variable for a container that is not there, until the claim is edited', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate({ envVarsInjectionPolicy: 'Allowed', envVarsSources: { secrets: ['s'] } })
    await t.createPool(1)
    await t.filledPool(1)
    await t.createClaim('mine', { env: [{ name: 'A', value: 'b', containerName: 'other' }] })
    await expectRefusal(
      'mine',
      'EnvVarsInjectionRejected',
      'environment variable injection rejected: target container "other" not found in template for environment variable "A"',
    )
    await t.client.patch(
      sandboxClaims,
      'mine',
      { spec: { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] } },
      { namespace: t.namespace },
    )
    const sandbox = await t.sandboxOf(await t.untilClaim('mine', isReady))
    expect(sandbox.spec.podTemplate.spec.containers[0]?.env).toEqual([
      { name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
    ])
  })

  test('a Sandbox that only looks like a member of the pool', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    const { metadata: pool } = await t.createPool(0)
    const owner = { apiVersion: sandboxWarmPools.apiVersion, kind: 'SandboxWarmPool', name: 'pool', controller: true }
    const forged = sandboxNamed('forged')
    const labels = {
      [LABELS.warmPool]: nameHash('pool'),
      [LABELS.templateRefHash]: nameHash('web'),
    }
    const ownerReferences = [{ ...owner, uid: `${pool.uid?.slice(0, -1)}x` }]
    await t.client.create(
      SANDBOXES,
      { ...forged, metadata: { ...forged.metadata, labels, ownerReferences } },
      { namespace: t.namespace },
    )
    await t.untilSandbox(({ status }) => findCondition(status?.conditions, 'Ready')?.status === 'True')
    await t.createClaim('mine')
    await t.createClaim('chosen', {}, { annotations: { 'agents.x-k8s.io/sandbox-name': 'forged' } })
    await t.createClaim(
      'selecting',
      { warmPoolSelector: {} },
      { annotations: { 'agents.x-k8s.io/sandbox-name': 'forged' } },
    )
    const claims = await Promise.all(['mine', 'chosen', 'selecting'].map((name) => t.untilClaim(name, isReady)))
    expect(claims.map(({ status }) => status?.sandbox?.name)).toEqual(['mine', 'chosen', 'selecting'])
  })

  test('a template whose name has the hash of an older one’s, until that is gone', async () => {
    expect(nameHash('costarring')).toBe(nameHash('liquid'))
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate({}, 'costarring')
    // Times are in seconds; of two made in the same one, the first by name is the older.
    await t.createTemplate({ networkPolicy: { egress: [{}] } }, 'liquid')
    await t.createPool(1, { sandboxTemplateRef: { name: 'costarring' } }, 'older')
    await t.createPool(1, { sandboxTemplateRef: { name: 'liquid' } }, 'younger')
    await t.filledPool(1, 'older')
    await t.createClaim('mine', { templateRef: { name: 'liquid' } })
    const message =
      'the names of SandboxTemplates "liquid" and "costarring" have the same hash, by which NetworkPolicies tell their Sandboxes apart: no Sandbox is made of the younger one until either is renamed'
    await expectRefusal('mine', 'NameCollision', message)
    const younger = await until(
      t.client,
      sandboxWarmPools,
      { namespace: t.namespace, name: 'younger' },
      (pool) => pool?.status?.conditions?.some(({ type }) => type === 'Degraded') === true,
    )
    expect(findCondition(younger.status?.conditions, 'Degraded')).toMatchObject({
      status: 'True',
      reason: 'NameCollision',
      message,
    })
    const policies = await t.client.list(resources.networkPolicies, { namespace: t.namespace })
    expect(policies.items.map(({ metadata }) => metadata.name)).toEqual(['costarring-network-policy'])
    await t.running.controllers.idle()
    // Two controllers say it, each after a write of its own.
    const said = t.running.events.filter(({ reason }) => reason === 'NameCollision')
    expect(said.toSorted((a, b) => (a.about < b.about ? -1 : 1))).toEqual([
      { about: 'liquid', type: 'Warning', reason: 'NameCollision', message },
      { about: 'younger', type: 'Warning', reason: 'NameCollision', message },
    ])
    await t.client.delete(sandboxTemplates, 'costarring', { namespace: t.namespace })
    await t.untilClaim('mine', isReady)
    await t.filledPool(1, 'younger')
  })

  test('a name that another Sandbox has, until that is gone', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(0)
    await t.client.create(SANDBOXES, sandboxNamed('mine'), { namespace: t.namespace })
    await t.createClaim('mine')
    const message =
      'Error seen: sandbox "mine" is not controlled by claim "mine". Please use a different claim name or delete the sandbox manually'
    const claim = await t.untilClaim('mine', reasonIs('ReconcilerError'))
    expect(findCondition(claim.status?.conditions, 'Ready')?.message).toBe(message)
    await t.running.controllers.idle()
    expect(t.running.writes.filter((write) => write.includes('sandboxclaims/'))).toEqual([
      'PATCH sandboxclaims/mine/status',
    ])
    await t.client.delete(SANDBOXES, 'mine', { namespace: t.namespace })
    await t.client.delete(PODS, 'mine', { namespace: t.namespace, gracePeriodSeconds: 0 })
    await t.untilClaim('mine', isReady)
    // The next Sandbox may have come between the two, and then says of the Pod whose it is.
    expect(t.running.errors.filter((error) => !error.includes('pod "mine" is owned by Sandbox/mine'))).toEqual([])
  })
})
