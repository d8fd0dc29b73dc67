import type { PodObject } from '@caisson/client'
import type { Container, PodCondition } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { resizeRefusal } from './node-fit.ts'
import { aPod } from './observed-pod-fixtures.ts'
import { newPodMemory, type PodMemory } from './pod-memory.ts'
import { createResizes, type Resizes } from './resizes.ts'
import { createTakenPods } from './taken-pods.ts'

interface Asking {
  cpu: string
  priority?: number
  guaranteed?: boolean
  /** When the API heard that it waits, as minutes past an hour. */
  since?: number
  /** What its status says that it has; as much as it asks for unless given. */
  had?: string
}

interface Model {
  resizes: Resizes
  memories: Map<string, PodMemory>
  granted: string[]
  ask(name: string, asking: Asking): void
  /** The Pod is looked at: what it has then. */
  look(name: string): string | undefined
  end(name: string): void
}

/** A node of four processors. */
function aModel(): Model {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: {}, status: { allocatable: { cpu: '4', memory: '64Gi' } } }
  const pods = new Map<string, PodObject>()
  const memories = new Map<string, PodMemory>()
  const granted: string[] = []
  const cached = (uid: string): PodObject | undefined => pods.get(uid)
  const resizes = createResizes({
    memories,
    cached,
    refusal: (pod, others) => resizeRefusal(pod, node as never, others),
    takenPods: createTakenPods(memories, cached),
    onGranted: (uid) => granted.push(uid),
  })
  return {
    resizes,
    memories,
    granted,
    ask(name, asking) {
      const pod = podOf(name, asking)
      pods.set(name, pod)
      if (!memories.has(name)) {
        const memory = newPodMemory(pod, { sandboxId: name, nextAttempt: 1, hasDirectory: true })
        memories.set(name, memory)
      }
    },
    look(name) {
      const [pod, memory] = [pods.get(name), memories.get(name)]
      return pod && memory && resizes.settle(pod, memory).spec?.containers[0]?.resources?.requests?.['cpu']
    },
    end(name) {
      pods.delete(name)
      memories.delete(name)
      resizes.freed()
    },
  }
}

function podOf(name: string, { cpu, priority, guaranteed = false, since, had = cpu }: Asking): PodObject {
  const requests = { cpu, memory: '1Gi' }
  const main: Container = { name: 'main', resources: { requests, ...(guaranteed && { limits: requests }) } }
  const pod = aPod({
    spec: { containers: [main], ...(priority !== undefined && { priority }) },
    status: {
      containerStatuses: [{ ...main, ready: true, restartCount: 0, image: '', imageID: '', ...allocated(had) }],
      conditions: since === undefined ? [] : [waitsSince(since)],
    },
  })
  return { ...pod, metadata: { ...pod.metadata, name, uid: name } }
}

function allocated(cpu: string): object {
  return { allocatedResources: { cpu, memory: '1Gi' } }
}

function waitsSince(minute: number): PodCondition {
  const lastTransitionTime = `2026-01-01T11:${String(minute).padStart(2, '0')}:00Z`
  return {
    type: 'PodResizePending',
    status: 'True',
    reason: 'Deferred',
    lastTransitionTime: lastTransitionTime as never,
  }
}

/** All but `full`, which leaves no room: `one` to `three` wait for more. */
function waiting(asked: Record<'one' | 'two' | 'three', Partial<Asking>>): Model {
  const model = aModel()
  model.ask('full', { cpu: '2500m' })
  model.look('full')
  for (const [name, asking] of Object.entries(asked)) {
    const { since: _, ...fields } = asking
    model.ask(name, { cpu: '500m', ...fields })
    expect(model.look(name)).toBe('500m')
  }
  for (const [name, asking] of Object.entries(asked)) {
    model.ask(name, { cpu: '1250m', ...asking })
    expect(model.look(name)).toBe('500m')
    expect(model.memories.get(name)?.pendingResize?.reason).toBe('Deferred')
  }
  return model
}

test.each<[what: string, asked: Record<'one' | 'two' | 'three', Partial<Asking>>, order: string[]]>([
  ['priority', { one: {}, two: { priority: 7 }, three: { priority: 9 } }, ['three', 'two', 'one']],
  ['QoS class', { one: {}, two: { guaranteed: true, since: 9 }, three: { since: 1 } }, ['two', 'three', 'one']],
  [
    'the time that they have waited',
    { one: { since: 3 }, two: { since: 1 }, three: { since: 2 } },
    ['two', 'three', 'one'],
  ],
  [
    'priority, whatever class and time they have',
    { one: { priority: 1 }, two: { guaranteed: true, since: 1 }, three: { priority: 2 } },
    ['three', 'one', 'two'],
  ],
  [
    'the order in which they came, where all else is the same',
    { one: {}, two: {}, three: {} },
    ['one', 'two', 'three'],
  ],
])('what becomes free goes by %s', (_what, asked, order) => {
  const model = waiting(asked)
  // Room for one more, then for another, then for all.
  for (const [index, cpu] of ['1750m', '1'].entries()) {
    model.ask('full', { cpu })
    model.look('full')
    expect(model.granted).toEqual(order.slice(0, index + 1))
  }
  model.end('full')
  expect(model.granted).toEqual(order)
  expect(['one', 'two', 'three'].map((name) => model.look(name))).toEqual(['1250m', '1250m', '1250m'])
})

test('who asks for less is never kept waiting, and who asks for more gets what that leaves', () => {
  const model = waiting({ one: { priority: 9 }, two: {}, three: {} })
  model.ask('two', { cpu: '250m' })
  expect([model.look('two'), model.granted]).toEqual(['250m', []])
  model.ask('three', { cpu: '250m' })
  model.look('three')
  model.ask('full', { cpu: '2250m' })
  expect([model.look('full'), model.granted]).toEqual(['2250m', ['one']])
})

test('an agent that begins anew goes by the turns of those that waited before it', () => {
  const model = aModel()
  model.ask('full', { cpu: '2' })
  model.ask('one', { cpu: '1500m', had: '500m', priority: 1, since: 1 })
  model.ask('two', { cpu: '1500m', had: '500m', priority: 2, since: 2 })
  // Meanwhile there is room for one of them.
  expect([model.look('one'), model.granted, model.look('two')]).toEqual(['500m', ['two'], '1500m'])
})
