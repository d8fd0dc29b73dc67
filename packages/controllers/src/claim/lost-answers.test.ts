import { isConditionTrue } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type ApiRequest, sandboxWarmPools, TransportError } from '@caisson/client'
import { expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, useClaims } from '../testing/claim-fixture.ts'
import { runControllers, startTestNode } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

test('a claim whose creation of a Sandbox was not answered takes no member beside it', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  await t.createPool(0)
  await t.running[Symbol.asyncDispose]()
  const { transport } = t.cluster
  const late = Promise.withResolvers<void>()
  let lost = 0
  /** The creation is done and not answered, its event is late, and by then the pool has something. */
  const unlucky = {
    ...transport,
    async request(asked: ApiRequest) {
      const answer = await transport.request(asked)
      if (asked.method !== 'POST' || !isMine(asked.body) || lost++ > 0) return answer
      await t.client.patch(sandboxWarmPools, 'pool', { spec: { replicas: 1 } }, { namespace: t.namespace })
      await t.untilSandbox((each) => isConditionTrue(each.status?.conditions, 'Ready'))
      throw new TransportError('lost', 'the answer was lost, as the test wants it')
    },
    async *watch(asked: ApiRequest) {
      for await (const event of transport.watch(asked)) {
        if (isMine(event.object)) await late.promise
        yield event
      }
    },
  }
  await using controllers = await runControllers({ ...t.cluster, transport: unlucky }, t.namespace)
  await t.createClaim('mine')
  const claim = await t.untilClaim('mine', isReady)
  late.resolve()
  await controllers.controllers.idle()
  expect(claim.status?.sandbox?.name).toBe('mine')
  const { items } = await t.client.list(SANDBOXES, { namespace: t.namespace })
  const owners = new Set(items.map(({ metadata }) => metadata.ownerReferences?.[0]?.name))
  expect([items.length, owners]).toEqual([2, new Set(['mine', 'pool'])])
  expect(lost).toBe(1)
})

/** A Sandbox of the claim's own name. Other tests of the same cluster leave some, which caches begin with. */
function isMine(object: unknown): boolean {
  const { kind, metadata } = object as { kind?: string; metadata?: { namespace?: string; name?: string } }
  return kind === 'Sandbox' && metadata?.namespace === t.namespace && metadata.name === 'mine'
}
