/** A claimed Sandbox that falls asleep, and what its claim says meanwhile. */
import { IDLE } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { sandboxClaims } from '@caisson/client'
import { expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { isReady, said, useClaims } from '../testing/claim-fixture.ts'
import { podBecomes, READY_STATUS, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

test('members of a pool stay awake; claimed, one falls asleep when nothing happens in it, and its claim says so', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate({ idleSuspension: { afterSeconds: 60 } })
  await t.createPool(1)
  await t.filledPool(1)
  const [member] = (await t.client.list(PODS, { namespace: t.namespace })).items
  expect(member?.metadata.annotations?.[IDLE.afterSeconds]).toBeUndefined()
  await t.createClaim('mine')
  const name = (await t.untilClaim('mine', isReady)).status?.sandbox?.name ?? ''
  expect(name).toBe(member?.metadata.name)
  const at = { namespace: t.namespace, name }
  await until(t.client, PODS, at, (pod) => pod?.metadata.annotations?.[IDLE.afterSeconds] === '60')

  const idle = { type: IDLE.condition, status: 'True', reason: 'Idle', message: 'Nothing has happened since then' }
  await podBecomes(t.client, at, { ...READY_STATUS, conditions: [...(READY_STATUS.conditions ?? []), idle] })
  // No node has it, so that nobody is waited for.
  await until(t.client, PODS, at, (pod) => pod === undefined)
  const asleep = await t.untilClaim('mine', ({ status }) =>
    Boolean(status?.conditions?.some(({ message }) => message === 'Sandbox is suspended')),
  )
  expect(said(asleep)).toEqual({
    conditions: [
      {
        type: 'Ready',
        status: 'False',
        reason: 'SandboxSuspended',
        message: 'Sandbox is suspended',
        observedGeneration: 1,
      },
    ],
    sandbox: { name },
  })

  // What is asked for meanwhile is on the Sandbox, and so on its next Pod; what is taken out again is not.
  const ask = (annotations: object) =>
    t.client.patch(
      sandboxClaims,
      'mine',
      { spec: { additionalPodMetadata: { annotations } } },
      { namespace: t.namespace },
    )
  const annotationsAre = (wanted: object | undefined) =>
    until(t.client, SANDBOXES, at, (sandbox) => {
      const { annotations } = sandbox?.spec.podTemplate.metadata ?? {}
      return JSON.stringify(annotations ?? {}) === JSON.stringify(wanted ?? {})
    })
  await ask({ note: 'a', other: 'b' })
  await annotationsAre({ note: 'a', other: 'b' })
  await ask({ note: null })
  await annotationsAre({ other: 'b' })

  await t.client.patch(SANDBOXES, name, { spec: { operatingMode: 'Running' } }, { namespace: t.namespace })
  await t.untilClaim('mine', isReady)
  const awake = await t.client.get(PODS, name, { namespace: t.namespace })
  expect(awake.metadata.annotations).toMatchObject({ other: 'b', [IDLE.afterSeconds]: '60' })
  expect(t.running.errors).toEqual([])
})
