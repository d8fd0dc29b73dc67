import type { ResourceLimits } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { limitsDue } from './limits-due.ts'
import { aPod, aRun, exited, NOW, observed, plan, running, second } from './observed-pod-fixtures.ts'

const MI = 1024 * 1024
const main = (memory: string, fields: Partial<Container> = {}): Container => ({
  name: 'main',
  image: 'busybox',
  resources: { requests: { cpu: '100m', memory }, limits: { memory } },
  ...fields,
})
const held = (mebibytes: number): ResourceLimits => ({ memoryBytes: mebibytes * MI, cpuRequestMillicores: 100 })
const sandbox = { id: 'uid-1-0', attempt: 0, shared: false, alive: true, ip: undefined, limits: held(64) }
const restart = (resourceName: string) => ({ resizePolicy: [{ resourceName, restartPolicy: 'RestartContainer' }] })
const run = aRun(running(), { limits: held(64) })

test('nothing is due where all is held to what was granted', () => {
  expect(limitsDue(aPod({ spec: { containers: [main('64Mi')] } }), { sandbox, runs: [run] }, held(64))).toBeUndefined()
})

test('a container that runs, and its sandbox', () => {
  const due = { limits: held(128), containers: new Map([['uid-1-main-0', held(128)]]), restarts: [] }
  for (const container of [main('128Mi'), main('128Mi', restart('cpu'))]) {
    expect(limitsDue(aPod({ spec: { containers: [container] } }), { sandbox, runs: [run] }, held(128))).toEqual(due)
  }
})

test('a container that has to begin again for it', () => {
  const pod = aPod({ spec: { containers: [main('128Mi', restart('memory'))] } })
  expect(limitsDue(pod, { sandbox, runs: [run] }, held(128))).toEqual({
    limits: held(128),
    containers: new Map(),
    restarts: [run],
  })
})

test('one that does not run takes them when it begins', () => {
  const pod = aPod({ spec: { containers: [main('128Mi')] } })
  const ended = aRun(exited(0), { limits: held(64) })
  expect(limitsDue(pod, { sandbox, runs: [ended] }, held(128))).toEqual({
    limits: held(128),
    containers: new Map(),
    restarts: [],
  })
  expect(limitsDue(pod, { sandbox: { ...sandbox, alive: false }, runs: [run] }, held(128))).toBeUndefined()
  expect(limitsDue(pod, { sandbox: undefined, runs: [run] }, held(128))).toBeUndefined()
})

test('what is due is done, after what has to end for it', () => {
  const pod = aPod({ spec: { containers: [main('128Mi')] } })
  const due = { limits: held(128), containers: new Map([['uid-1-main-0', held(128)]]), restarts: [] }
  const given = observed(pod, { sandbox, runs: [run], limitsDue: due })
  const limits = JSON.stringify(held(128))
  expect(plan(given)).toMatchObject({ does: [`resize uid-1-0 to ${limits}, and uid-1-main-0`] })
  expect(plan({ ...given, limitsDue: { ...due, restarts: [run] } })).toMatchObject({ does: ['stop main within 30 s'] })
  // Whatever its exit code is then.
  const ended = aRun(exited(0, { at: NOW }), { begunAgain: true })
  const once = aPod({ spec: { restartPolicy: 'OnFailure', containers: [main('128Mi')] } })
  expect(plan(observed(once, { sandbox, runs: [ended] }))).toMatchObject({ phase: 'Running' })
  expect(plan(observed(once, { sandbox, runs: [{ ...ended, begunAgain: false }] }))).toMatchObject({
    phase: 'Succeeded',
  })
  const stopping = new Map([['uid-1-main-0', NOW + 30 * second]])
  expect(plan({ ...given, stopping, limitsDue: { ...due, restarts: [run] } })).toMatchObject({ does: [] })
  const resizeFailure = { message: 'in use', retryAt: NOW + 4 * second }
  expect(plan({ ...given, resizeFailure })).toMatchObject({ does: [], wakes: 4 })
})
