import { SNAPSHOT_ANNOTATION } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ObservedPod } from './observed-pod.ts'
import { aPod, aRun, exited, observed, type Planned, plan, running, second, setup } from './observed-pod-fixtures.ts'

const debug = { name: 'debug', image: 'busybox' }

function aPodFrom(snapshot: string, spec: Partial<PodSpec>): PodObject {
  const pod = aPod({ spec })
  return { ...pod, metadata: { ...pod.metadata, annotations: { [SNAPSHOT_ANNOTATION]: snapshot } } }
}
describe('a container that is put into a Pod that runs', () => {
  test.each<[name: string, given: ObservedPod, expected: Planned]>([
    [
      'a container that is put into it comes beside the one that runs',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), { runs: [aRun(running())] }),
      { does: ['start debug #0 then 0 s'], phase: 'Running' },
    ],
    [
      'once',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(running()), aRun(exited(1), { name: 'debug' })],
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'not before its image is there',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(running())],
        pulling: new Set(['debug']),
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'where none runs, the sandbox gives way to one that holds itself open',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(exited(1), { backOffMs: 10 * second })],
      }),
      { does: ['remove-sandbox uid-1-0'], phase: 'Running' },
    ],
    [
      'which it comes into at once',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        sandbox: undefined,
        runs: [aRun(exited(1), { backOffMs: 10 * second, past: true })],
      }),
      { does: ['create shared sandbox 1'], phase: 'Running' },
    ],
    [
      'whatever the others wait for',
      observed(aPod({ spec: { initContainers: [setup], ephemeralContainers: [debug] } }), {
        sandbox: { id: 'uid-1-0', attempt: 0, shared: true, alive: true, ip: '10.1.0.2' },
        runs: [aRun(running(), { name: 'setup' })],
      }),
      { does: ['start debug #0 then 0 s'], phase: 'Pending' },
    ],
    [
      'a Pod that begins with a snapshot keeps its sandbox, which alone can take that up',
      observed(aPodFrom('kept', { ephemeralContainers: [debug] }), {
        runs: [aRun(exited(1), { backOffMs: 10 * second })],
      }),
      { does: [], phase: 'Running', wakes: 9 },
    ],
    [
      'and does not keep a Pod alive',
      observed(aPod({ spec: { restartPolicy: 'Never', ephemeralContainers: [debug] } }), {
        runs: [aRun(exited(0)), aRun(running(), { name: 'debug' })],
      }),
      { does: ['stop debug within 30 s'], phase: 'Running' },
    ],
  ])('%s', (_name, given, expected) => {
    expect(plan(given)).toEqual(expected)
  })
})
