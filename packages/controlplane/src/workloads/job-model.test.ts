/**
 * Random histories of a Job and its Pods, with a controller that dies between any two writes: every end is counted once,
 * no more Pods run at once than may, and the Job finishes with nothing left over.
 */
import type { PodObject } from '@caisson/client'
import type { Write } from '@caisson/controllers'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isFinished } from './job-conditions.ts'
import type { JobObject } from './job-pods.ts'
import { planJob } from './plan-job.ts'
import { isActive } from './pods.ts'

const HOUR = 3_600_000

function createWorld(spec: object) {
  let now = Date.parse('2026-01-01T00:00:00Z')
  let counter = 0
  const pods = new Map<string, PodObject>()
  /** What has really ended, by UID. */
  const ended = { Succeeded: new Set<string>(), Failed: new Set<string>() }
  const job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace: 'default', uid: 'job' },
    spec: {
      selector: { matchLabels: { job: 'work' } },
      template: { metadata: { labels: { job: 'work' } }, spec: {} },
      ...spec,
    },
  } as unknown as JobObject

  function run(write: Write): void {
    if (write.verb === 'create') {
      const uid = String(++counter)
      const name = `work-${uid}`
      const metadata = {
        ...write.object.metadata,
        name,
        uid,
        resourceVersion: uid,
        creationTimestamp: new Date(now).toISOString(),
      }
      pods.set(name, {
        ...structuredClone(write.object),
        metadata,
        status: { phase: 'Running' },
      } as unknown as PodObject)
      return
    }
    const found = pods.get(write.target.name)
    if (!found) return
    if (write.verb === 'delete') remove(found)
    else {
      const { finalizers } = write.patch.metadata as { finalizers?: string[] }
      replace({
        ...found,
        metadata: { ...found.metadata, finalizers: finalizers ?? [], resourceVersion: String(++counter) },
      })
    }
  }

  /** What nothing holds any more goes. */
  function replace(pod: PodObject): void {
    const name = pod.metadata.name ?? ''
    if (pod.metadata.deletionTimestamp && !pod.metadata.finalizers?.length) pods.delete(name)
    else pods.set(name, pod)
  }

  function remove(pod: PodObject): void {
    if (isActive(pod)) end(pod, 'Failed')
    const current = pods.get(pod.metadata.name ?? '') as PodObject
    replace({ ...current, metadata: { ...current.metadata, deletionTimestamp: new Date(now).toISOString() } })
  }

  function end(pod: PodObject, phase: 'Succeeded' | 'Failed'): void {
    ended[phase].add(pod.metadata.uid ?? '')
    replace({ ...pod, status: { ...pod.status, phase } } as PodObject)
  }

  return {
    job,
    pods,
    ended,
    /** One pass, which dies after so many writes; the status is written only by one that lives. */
    pass(lives: number) {
      now += HOUR
      let left = lives
      const done = new Set<string>()
      for (;;) {
        const plan = planJob({ job, pods: [...pods.values()], failures: [] }, now)
        const writes = plan.writes.filter(({ id }) => !done.has(id))
        for (const write of writes) {
          if (left-- <= 0) return
          done.add(write.id)
          run(write)
        }
        if (writes.length > 0) continue
        if (left > 0 && plan.status) job.status = structuredClone(plan.status) as never
        return
      }
    },
    endOne(which: number, phase: 'Succeeded' | 'Failed') {
      const active = [...pods.values()].filter(isActive)
      const pod = active[which % Math.max(1, active.length)]
      if (pod) end(pod, phase)
    },
    deleteOne(which: number) {
      const all = [...pods.values()]
      const pod = all[which % Math.max(1, all.length)]
      if (pod) remove(pod)
    },
    active: () => [...pods.values()].filter(isActive).length,
  }
}

type Step = { do: 'pass'; lives: number } | { do: 'succeed' | 'fail' | 'delete'; which: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), lives: fc.oneof(fc.nat(4), fc.constant(1000)) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('succeed' as const, 'fail' as const, 'delete' as const),
      which: fc.nat(9),
    }),
  },
)

test('each end counts once, wherever the controller dies', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('Failed', 'TerminatingOrFailed'),
      fc.array(step, { maxLength: 50 }),
      (completions, parallelism, podReplacementPolicy, steps) => {
        const world = createWorld({
          completions,
          parallelism,
          podReplacementPolicy,
          backoffLimit: 1000,
          completionMode: 'NonIndexed',
        })
        for (const each of steps) {
          if (each.do === 'pass') world.pass(each.lives)
          else if (each.do === 'delete') world.deleteOne(each.which)
          else world.endOne(each.which, each.do === 'succeed' ? 'Succeeded' : 'Failed')
          expect(world.active()).toBeLessThanOrEqual(parallelism)
        }
        for (let round = 0; round < 60 && !isFinished(world.job); round++) {
          world.pass(1000)
          world.endOne(0, 'Succeeded')
        }
        expect(world.job.status?.conditions?.map(({ type }) => type)).toEqual(['SuccessCriteriaMet', 'Complete'])
        expect(world.job.status?.succeeded ?? 0).toBe(world.ended.Succeeded.size)
        expect(world.job.status?.failed ?? 0).toBe(world.ended.Failed.size)
        expect([...world.pods.values()].flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([])
      },
    ),
    { numRuns: 500 },
  )
})
