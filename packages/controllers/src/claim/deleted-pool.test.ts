import * as apiserver from '@caisson/apiserver'
import { type ApiRequest, sandboxWarmPools } from '@caisson/client'
import { expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, reasonIs, useClaims } from '../testing/claim-fixture.ts'
import { type RunningControllers, runControllers, startTestNode } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

/** Controllers that hear, right after a member was written down for the claim, that these are deleted. */
async function deletingAfterAssignment(names: { pool: string; member?: string }): Promise<RunningControllers> {
  await t.running[Symbol.asyncDispose]()
  const { transport } = t.cluster
  const missing = new Set(Object.values(names))
  const heard = Promise.withResolvers<void>()
  const deleting = {
    ...transport,
    async request(asked: ApiRequest) {
      const answer = await transport.request(asked)
      if (asked.method === 'PATCH' && asked.path.endsWith('/sandboxclaims/mine') && missing.size > 0) {
        await t.client.delete(sandboxWarmPools, names.pool, { namespace: t.namespace })
        if (names.member) await t.client.delete(SANDBOXES, names.member, { namespace: t.namespace })
        await heard.promise
      }
      return answer
    },
    async *watch(asked: ApiRequest) {
      for await (const event of transport.watch(asked)) {
        yield event
        // The one before has been taken in.
        if (event.type !== 'DELETED') continue
        missing.delete(event.object.metadata.name ?? '')
        if (missing.size === 0) heard.resolve()
      }
    },
  }
  return runControllers({ ...t.cluster, transport: deleting }, t.namespace)
}

async function aMember(): Promise<string> {
  await t.createTemplate()
  await t.createPool(1)
  await t.filledPool(1)
  const [member] = (await t.client.list(SANDBOXES, { namespace: t.namespace })).items
  return member?.metadata.name ?? ''
}

test('a claim takes the member that was written down for it, though its pool be deleted meanwhile', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  const member = await aMember()
  await using controllers = await deletingAfterAssignment({ pool: 'pool' })
  const { metadata } = await t.createClaim('mine')
  const claim = await t.untilClaim('mine', isReady)
  expect(claim.status?.sandbox?.name).toBe(member)
  expect((await t.sandboxOf(claim)).metadata.ownerReferences).toEqual([
    {
      apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
      kind: 'SandboxClaim',
      name: 'mine',
      uid: metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ])
  expect(controllers.errors).toEqual([])
})

test('one whose member went with the pool has none, until there is such a pool again', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  const member = await aMember()
  await using controllers = await deletingAfterAssignment({ pool: 'pool', member })
  await t.createClaim('mine')
  const lost = await t.untilClaim('mine', reasonIs('WarmPoolNotFound'))
  expect(lost.metadata.annotations?.['agents.x-k8s.io/sandbox-name']).toBeUndefined()
  expect(lost.status?.sandbox).toBeUndefined()
  await t.createPool(0)
  await t.untilClaim('mine', isReady)
  expect(controllers.errors).toEqual([])
})
