import { findCondition } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type ApiRequest, type Resource, sandboxClaims } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, reasonIs, said, useClaims } from '../testing/claim-fixture.ts'
import { runControllers, sandboxNamed, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

describe('the end', () => {
  test('Retain: the Sandbox goes, the claim says why', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine')
    await t.untilClaim('mine', isReady)
    const lifecycle = { shutdownTime: '2020-01-01T00:00:00Z' }
    await t.client.patch(sandboxClaims, 'mine', { spec: { lifecycle } }, { namespace: t.namespace })
    const claim = await t.untilClaim('mine', ({ status }) => status?.sandbox === undefined)
    expect(said(claim)).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'ClaimExpired',
          message: 'Claim expired. Sandbox cleanup initiated.',
          observedGeneration: 2,
        },
      ],
    })
    expect((await t.client.list(SANDBOXES, { namespace: t.namespace })).items).toEqual([])
    await t.running.controllers.idle()
    expect(t.running.events.filter(({ reason }) => reason === 'ClaimExpired')).toEqual([
      { about: 'mine', type: 'Normal', reason: 'ClaimExpired', message: 'Claim expired' },
    ])
  })

  test('Delete: the claim goes', async () => {
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine', { lifecycle: { shutdownTime: '2020-01-01T00:00:00Z', shutdownPolicy: 'Delete' } })
    await until(t.client, sandboxClaims, { namespace: t.namespace, name: 'mine' }, (claim) => claim === undefined)
    // A watch may tell of the end before the answer to who asked for it does.
    await t.running.controllers.idle()
    expect(t.running.events.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
      'ClaimExpired: Claim expired',
      'ClaimExpired: Deleting Claim (ShutdownPolicy=Delete)',
    ])
  })

  const END = { shutdownTime: '2020-01-01T00:00:00Z', shutdownPolicy: 'Delete' as const }
  const LATER = { shutdownTime: '2099-01-01T00:00:00Z' }

  test.each<[what: string, resource: Resource, later: object]>([
    ['claim', sandboxClaims, { lifecycle: LATER }],
    ['Sandbox', SANDBOXES, LATER],
  ])('of a %s that is put off when it is about to be deleted leaves it there', async (_what, resource, later) => {
    await t.running[Symbol.asyncDispose]()
    await using _node = await startTestNode(t.client, t.namespace)
    const { transport } = t.cluster
    const path = `${resource.plural}/late`
    const atTheLastMoment = {
      ...transport,
      async request(asked: ApiRequest) {
        if (asked.method === 'DELETE' && asked.path.endsWith(path))
          await t.client.patch(resource, 'late', { spec: later }, { namespace: t.namespace })
        return await transport.request(asked)
      },
    }
    await using running = await runControllers({ ...t.cluster, transport: atTheLastMoment }, t.namespace)
    await t.createTemplate()
    if (resource === sandboxClaims) await t.createClaim('late', { templateRef: { name: 'web' }, lifecycle: END })
    else await t.client.create(SANDBOXES, sandboxNamed('late', END), { namespace: t.namespace })
    await expect.poll(() => running.writes).toContain(`DELETE ${path}`)
    await running.controllers.idle()
    expect(
      (await t.client.get(resource, 'late', { namespace: t.namespace })).metadata.deletionTimestamp,
    ).toBeUndefined()
    await t.untilSandbox(({ status }) => findCondition(status?.conditions, 'Ready')?.status === 'True')
  })

  test('a deadline that has passed: for good, and what it had is given up', async () => {
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine', { readyDeadlineSeconds: 1 })
    const claim = await t.untilClaim('mine', (claim) => reasonIs('DeadlineExceeded')(claim) && !claim.status?.sandbox)
    expect(said(claim)).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'DeadlineExceeded',
          message: 'The claim was not Ready within 1 s. Sandbox cleanup initiated.',
          observedGeneration: 1,
        },
      ],
    })
    expect((await t.client.list(SANDBOXES, { namespace: t.namespace })).items).toEqual([])
  })
})
