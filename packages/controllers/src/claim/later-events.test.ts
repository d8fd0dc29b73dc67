import { EXTENSIONS_GROUP, type OwnerReference } from '@caisson/api'
import type { AnyObject } from '@caisson/client'
import { expect, onTestFinished, test } from 'vitest'
import { createLaterEvents } from './later-events.ts'

function started() {
  const paused = Promise.withResolvers<void>()
  let coming = true
  const said: string[] = []
  const events = createLaterEvents({
    claims: { coming: () => coming, settled: () => paused.promise },
    record: (_component, about, { reason, at }) => said.push(`${about.metadata.name} ${reason} ${at}`),
    now: () => 7,
  })
  onTestFinished(() => events[Symbol.asyncDispose]())
  const record = (name: string, reason: string, ownerReferences: OwnerReference[] = []): void => {
    const about: AnyObject = {
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      metadata: { name, uid: `uid of ${name}`, ownerReferences },
    }
    events.record('test', about, {
      type: reason.startsWith('Not') ? 'Warning' : 'Normal',
      reason,
      action: '',
      message: '',
    })
  }
  const pause = (): void => {
    coming = false
  }
  return { said, events, record, pause, settle: () => paused.resolve() }
}

test('events wait while claims come, and those about one object keep their order', async () => {
  const { said, events, record, pause, settle } = started()
  record('a', 'Ready')
  pause()
  record('a', 'Suspended')
  record('b', 'Ready')
  expect(said).toEqual(['b Ready undefined'])
  settle()
  await events.settled()
  expect(said).toEqual(['b Ready undefined', 'a Ready 7', 'a Suspended 7'])
  record('a', 'Ready')
  expect(said.slice(3)).toEqual(['a Ready undefined'])
})

test('of members of a pool only what is wrong is told, and that later', async () => {
  const { said, events, record, pause, settle } = started()
  const pool = { apiVersion: `${EXTENSIONS_GROUP}/v1beta1`, kind: 'SandboxWarmPool', name: 'pool', uid: 'p' }
  pause()
  record('member', 'Ready', [{ ...pool, controller: true }])
  record('member', 'NotReady', [{ ...pool, controller: true }])
  expect(said).toEqual([])
  settle()
  await events.settled()
  expect(said).toEqual(['member NotReady 7'])
})
