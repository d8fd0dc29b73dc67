import * as apiserver from '@caisson/apiserver'
import { sandboxClaims } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, reasonIs, said, useClaims } from '../testing/claim-fixture.ts'
import { startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

describe('the end of a claim', () => {
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
