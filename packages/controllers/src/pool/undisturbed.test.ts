import * as apiserver from '@caisson/apiserver'
import { sandboxWarmPools } from '@caisson/client'
import { expect, test } from 'vitest'
import { FEW_CLAIMS } from '../claim/waiting-claims.ts'
import { SANDBOXES } from '../sandbox/objects.ts'
import { isReady, useClaims } from '../testing/claim-fixture.ts'
import { runControllers, startTestNode } from '../testing/test-cluster.ts'
import { PAUSE_OF_MEMBER } from './pool-controller.ts'

const t = useClaims(apiserver)
const PAUSE_MS = 200

/** Of 40 members, all Ready, with no controllers that run. */
async function leaveFullPool(): Promise<void> {
  await t.createTemplate()
  await t.createPool(40)
  await t.filledPool(40)
  await t.running[Symbol.asyncDispose]()
}

test('a pool is not looked at for each of the claims that come one after another, and is full again afterwards', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await leaveFullPool()
  // A clock that stands: by it claims have never paused, however slow the machine is.
  let stopped: number | undefined = Date.now()
  let looks = 0
  const log = { queueOf: (name: string) => (name === 'pool' ? { worked: () => void looks++ } : {}) }
  await using running = await runControllers(t.cluster, t.namespace, { now: () => stopped ?? Date.now(), metrics: log })
  const claimOne = async (name: string): Promise<void> => {
    await t.createClaim(name)
    await t.untilClaim(name, isReady)
  }
  // With it all has come that was still to come of the start.
  await claimOne('first')
  looks = 0
  const begun = performance.now()
  for (let index = 1; index < 30; index++) await claimOne(`c${index}`)
  expect(looks).toBeLessThanOrEqual(2 + (performance.now() - begun) / PAUSE_MS)
  const made = () => running.writes.filter((write) => write === 'POST sandboxes').length
  expect(made()).toBe(0)
  stopped = undefined
  await t.untilSandbox(() => made() === 30)
  expect(running.errors).toEqual([])
})

test('a pool whose members change one after another is not looked at for each of them', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await leaveFullPool()
  let looks = 0
  const log = { queueOf: (name: string) => (name === 'pool' ? { worked: () => void looks++ } : {}) }
  await using running = await runControllers(t.cluster, t.namespace, { metrics: log })
  await running.controllers.idle()
  looks = 0
  const begun = performance.now()
  for (const { metadata } of (await t.client.list(SANDBOXES, { namespace: t.namespace })).items)
    await t.client.patch(
      SANDBOXES,
      metadata.name ?? '',
      { metadata: { annotations: { changed: 'yes' } } },
      { namespace: t.namespace },
    )
  await running.controllers.idle()
  const pauses = (performance.now() - begun) / (40 * PAUSE_OF_MEMBER)
  expect(looks).toBeLessThanOrEqual(2 + pauses)
  expect(looks).toBeGreaterThan(0)
})

test('where many claims wait those that find nothing have Sandboxes made, and the pool is filled when they have them', async () => {
  {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(2)
    await t.filledPool(2)
  }
  await t.running[Symbol.asyncDispose]()
  const claims = Array.from({ length: 3 + FEW_CLAIMS }, (_, index) => `c${index}`)
  for (const name of claims) await t.createClaim(name)
  let looks = 0
  const log = { queueOf: (name: string) => (name === 'pool' ? { worked: () => void looks++ } : {}) }
  await using running = await runControllers(t.cluster, t.namespace, { metrics: log })
  const made = () => running.writes.filter((write) => write === 'POST sandboxes').length
  const answered = () => running.writes.filter((write) => /^PATCH sandboxclaims.*status$/.test(write)).length
  await expect.poll(() => [made(), answered()]).toEqual([1 + FEW_CLAIMS, 2])
  const before = looks
  const { name = '' } = (await t.filledPool(2)).metadata
  await t.client.patch(sandboxWarmPools, name, { metadata: { labels: { look: 'again' } } }, { namespace: t.namespace })
  await expect.poll(() => looks).toBeGreaterThan(before)
  expect(made()).toBe(1 + FEW_CLAIMS)
  await using _node = await startTestNode(t.client, t.namespace)
  for (const name of claims) await t.untilClaim(name, isReady)
  await expect.poll(made).toBe(3 + FEW_CLAIMS)
  expect(answered()).toBe(claims.length)
  expect(running.errors).toEqual([])
})
