import type { PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { aPod, aReadyPod, aSandbox, observe, plan, SCHEDULED } from './observed-sandbox-fixtures.ts'

const status = (containers: object[], rest: object = {}): PodStatus =>
  ({ phase: 'Pending', conditions: [SCHEDULED], containerStatuses: containers, ...rest }) as PodStatus
const main = (state: object, lastState?: object) => ({ name: 'main', state, ...(lastState && { lastState }) })
const waiting = (reason: string, message?: string) => main({ waiting: { reason, ...(message && { message }) } })

function said(podStatus: PodStatus, before?: string[]): string | undefined {
  const [reason, message] = before ?? []
  const conditions = reason
    ? [
        {
          type: 'caisson.dev/ContainerError',
          status: 'True' as const,
          reason,
          message: message ?? '',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ]
    : []
  const given = plan(observe({ sandbox: aSandbox({ status: { conditions } }), pods: [aPod({}, podStatus)] }))
  const found = given.status?.conditions?.find(({ type }) => type === 'caisson.dev/ContainerError')
  return found && `${found.status} ${found.reason}: ${found.message}`
}

test.each<[name: string, podStatus: PodStatus, expected: string | undefined]>([
  ['nothing reported yet', { phase: 'Pending' }, undefined],
  ['a normal start', status([waiting('ContainerCreating')]), undefined],
  ['waiting for init containers', status([waiting('PodInitializing')]), undefined],
  ['running', status([main({ running: {} })], { phase: 'Running' }), undefined],
  [
    'no such image',
    status([waiting('ErrImagePull', 'image "nope" is not in the local store')]),
    'True ErrImagePull: container "main": image "nope" is not in the local store',
  ],
  [
    'a reason alone',
    status([waiting('InvalidImageName')]),
    'True InvalidImageName: container "main": InvalidImageName',
  ],
  [
    'no such command',
    status([
      main(
        { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container' } },
        { terminated: { exitCode: 128, reason: 'StartError', message: 'exec "nope": not found\n' } },
      ),
    ]),
    'True CrashLoopBackOff: container "main": exited with 128 (StartError): exec "nope": not found',
  ],
  [
    'killed for its memory, for good',
    status([main({ terminated: { exitCode: 137, reason: 'OOMKilled' } })], { phase: 'Failed' }),
    'True OOMKilled: container "main": exited with 137 (OOMKilled)',
  ],
  [
    'ended by a signal',
    status([main({ terminated: { exitCode: 139, signal: 11, reason: 'Error' } })], { phase: 'Failed' }),
    'True Error: container "main": was ended by signal 11',
  ],
  [
    'evicted',
    status([main({ terminated: { exitCode: 143, reason: 'Error' } })], {
      phase: 'Failed',
      reason: 'Evicted',
      message: 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ',
    }),
    'True Evicted: Pod: Pod ephemeral local storage usage exceeds the total limit of containers 1Mi.',
  ],
  ['succeeded', status([main({ terminated: { exitCode: 0 } })], { phase: 'Succeeded' }), undefined],
  [
    'an init container in its way',
    status([waiting('PodInitializing')], {
      initContainerStatuses: [{ ...waiting('ErrImagePull', 'no'), name: 'setup' }],
    }),
    'True ErrImagePull: init container "setup": no',
  ],
  [
    'a reason that no condition may carry',
    status([waiting('not a reason!', 'why')]),
    'True ContainerError: container "main": why',
  ],
])('%s', (_name, podStatus, expected) => {
  expect(said(podStatus)).toBe(expected)
})

test('a back-off does not take the place of the error that it is for', () => {
  const backOff = status([waiting('ImagePullBackOff', 'Back-off pulling image "nope"')])
  expect(said(backOff)).toBe('True ImagePullBackOff: container "main": Back-off pulling image "nope"')
  expect(said(backOff, ['ErrImagePull', 'container "main": no such image'])).toBe(
    'True ErrImagePull: container "main": no such image',
  )
  expect(said(backOff, ['ErrImagePull', 'container "other": no such image'])).toContain('ImagePullBackOff')
})

test('it is said at once, goes with its cause, and is nothing of a Pod that goes', () => {
  const pods = [aPod({}, status([waiting('ErrImagePull', 'no')]))]
  const first = plan(observe({ pods }))
  expect(first.statusMayWait).toBe(0)
  const sandbox = aSandbox({ ...(first.status && { status: first.status }) })
  const types = (given: ReturnType<typeof plan>) => given.status?.conditions?.map(({ type }) => type)
  expect(types(plan(observe({ sandbox, pods: [aReadyPod()] })))).toEqual(['Suspended', 'PodScheduled', 'Ready'])
  const going = aPod({ deletionTimestamp: '2026-01-01T11:59:59Z' }, status([waiting('ErrImagePull', 'no')]))
  expect(types(plan(observe({ sandbox, pods: [going] })))).not.toContain('caisson.dev/ContainerError')
})

test("a Pod's own PodScheduled is made to fit where it does not", () => {
  const scheduled = { type: 'PodScheduled', status: 'Perhaps', reason: 'who knows?', message: 'm' }
  const given = plan(observe({ pods: [aPod({}, { phase: 'Pending', conditions: [scheduled] })] }))
  expect(given.status?.conditions?.find(({ type }) => type === 'PodScheduled')).toMatchObject({
    status: 'Unknown',
    reason: 'PodSchedulingUnknown',
    message: 'm',
  })
})
