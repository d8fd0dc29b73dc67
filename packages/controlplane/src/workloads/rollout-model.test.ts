/**
 * Random histories of a Deployment, its ReplicaSets and their Pods, with caches that lag: never more Pods than the surge
 * allows, never fewer available ones than the rollout may take away, and in the end what was asked for.
 */
import { type KubeObject, selects } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Plan, Write } from '@caisson/controllers'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { planDeployment } from './plan-deployment.ts'
import { planReplicaSet } from './plan-replica-set.ts'
import { type DeploymentObject, type ReplicaSetObject, replicasOf, rolloutBounds, sum } from './rollout.ts'

type Step =
  | { do: 'deployment' | 'sets' | 'start' | 'refresh' }
  | { do: 'roll'; image: number }
  | { do: 'scale'; replicas: number }
  | { do: 'kill' | 'unready'; which: number }

const SECOND = 1000

/** A server of three kinds, and one controller whose cache of ReplicaSets is brought up to date now and then. */
function createWorld(strategy: object, replicas: number) {
  let now = Date.parse('2026-01-01T00:00:00Z')
  let counter = 0
  const next = (): string => String(++counter)
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', uid: 'web', generation: 1, resourceVersion: '0' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      strategy,
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: '0' }] } },
    },
  } as unknown as DeploymentObject
  const sets = new Map<string, ReplicaSetObject>()
  const pods = new Map<string, PodObject>()
  let cachedSets: ReplicaSetObject[] = []

  function run(write: Write): void {
    const target = write.resource.plural === 'pods' ? pods : sets
    if (write.verb === 'create') {
      const uid = next()
      const { metadata } = write.object
      const name = metadata.name ?? `${metadata.generateName}${uid}`
      if (target.has(name)) return
      const created = {
        ...metadata,
        name,
        uid,
        resourceVersion: uid,
        generation: 1,
        creationTimestamp: new Date(now).toISOString(),
      }
      target.set(name, { ...structuredClone(write.object), metadata: created } as never)
      return
    }
    const found = target.get(write.target.name) as KubeObject | undefined
    if (write.verb === 'delete') {
      if (found?.metadata.uid === write.uid) target.delete(write.target.name)
      return
    }
    const { metadata, ...rest } = write.patch
    // A write that was made on what is no longer so is refused.
    if (
      !found ||
      (metadata.resourceVersion !== undefined && metadata.resourceVersion !== found.metadata.resourceVersion)
    )
      return
    const {
      resourceVersion: _version,
      uid: _uid,
      ...changed
    } = metadata as {
      resourceVersion?: string
      uid?: string
      annotations?: object
    }
    const annotations = { ...found.metadata.annotations, ...changed.annotations }
    target.set(write.target.name, {
      ...found,
      metadata: {
        ...found.metadata,
        ...changed,
        annotations,
        resourceVersion: next(),
        generation: (found.metadata.generation ?? 0) + 1,
      },
      spec: { ...(found['spec'] as object), ...(rest['spec'] as object | undefined) },
    } as never)
  }

  function settle(plan: () => Plan<object>, done: (plan: Plan<object>) => void): void {
    const seen = new Set<string>()
    for (let round = 0; round < 50; round++) {
      const planned = plan()
      const writes = planned.writes.filter(({ id }) => !seen.has(id))
      for (const write of writes) {
        seen.add(write.id)
        run(write)
      }
      if (writes.length === 0) return done(planned)
      // What a controller wrote, it knows.
      cachedSets = [...sets.values()]
    }
    throw new Error('a plan never comes to rest')
  }

  const podsOf = (set: ReplicaSetObject): PodObject[] =>
    [...pods.values()].filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === set.metadata.uid)

  return {
    deployment,
    pods,
    sets,
    available: () => [...pods.values()].filter(({ status }) => status?.phase === 'Running').length,
    runDeployment() {
      const running = new Map([...sets.values()].map((set) => [set.metadata.uid ?? '', podsOf(set).length]))
      settle(
        () => planDeployment({ deployment, replicaSets: cachedSets, running, failures: [] }, now),
        ({ status, statusAnnotations }) => {
          deployment.status = status as never
          deployment.metadata.annotations = { ...deployment.metadata.annotations, ...statusAnnotations }
        },
      )
    },
    runSets() {
      for (const name of sets.keys()) {
        const set = (): ReplicaSetObject => sets.get(name) as ReplicaSetObject
        settle(
          () => {
            const own = { set: set(), selector: set().spec?.selector as never, related: [], failures: [] }
            return planReplicaSet(
              { ...own, pods: [...pods.values()].filter((pod) => selects(own.selector, pod.metadata.labels)) },
              now,
            )
          },
          ({ status }) => {
            sets.set(name, {
              ...set(),
              metadata: { ...set().metadata, resourceVersion: next() },
              status: status as never,
            })
          },
        )
      }
    },
    refresh() {
      cachedSets = [...sets.values()]
    },
    start() {
      now += SECOND
      const lastTransitionTime = new Date(now).toISOString()
      for (const pod of pods.values()) {
        if (pod.status?.phase === 'Running') continue
        pod.status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] } as never
      }
    },
    spoil(which: number, phase: string | undefined) {
      const names = [...pods.keys()]
      const name = names[which % Math.max(1, names.length)]
      if (name === undefined) return
      if (phase === undefined) pods.delete(name)
      else (pods.get(name) as PodObject).status = { phase } as never
    },
    change(spec: object) {
      Object.assign(deployment.spec as object, spec)
      deployment.metadata.generation = (deployment.metadata.generation ?? 0) + 1
    },
  }
}

const bound = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  fc.integer({ min: 0, max: 100 }).map((percent) => `${percent}%`),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom<Step>({ do: 'deployment' }, { do: 'sets' }, { do: 'start' }, { do: 'refresh' }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll' as const), image: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('scale' as const), replicas: fc.integer({ min: 0, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'unready' as const), which: fc.nat(20) }) },
)

function template(image: number): object {
  return { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: String(image) }] } }
}

function play(world: ReturnType<typeof createWorld>, each: Step): void {
  if (each.do === 'deployment') world.runDeployment()
  else if (each.do === 'sets') world.runSets()
  else if (each.do === 'start') world.start()
  else if (each.do === 'refresh') world.refresh()
  else if (each.do === 'roll') world.change({ template: template(each.image) })
  else if (each.do === 'scale') world.change({ replicas: each.replicas })
  else if ('which' in each) world.spoil(each.which, each.do === 'kill' ? undefined : 'Pending')
}

function finish(world: ReturnType<typeof createWorld>): void {
  for (let round = 0; round < 60; round++) {
    world.refresh()
    world.runDeployment()
    world.runSets()
    world.start()
  }
}

test('whatever happens, a Deployment comes to what was asked for', () => {
  fc.assert(
    fc.property(
      bound,
      bound,
      fc.integer({ min: 0, max: 8 }),
      fc.array(step, { maxLength: 60 }),
      (maxSurge, maxUnavailable, replicas, steps) => {
        const world = createWorld({ type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } }, replicas)
        for (const each of steps) play(world, each)
        finish(world)
        const wanted = replicasOf(world.deployment)
        const image = world.deployment.spec?.template.spec?.containers[0]?.image
        const images = [...world.pods.values()].map(({ spec }) => spec?.containers[0]?.image)
        expect(images).toEqual(Array.from({ length: wanted }, () => image))
        expect(world.deployment.status).toMatchObject({
          conditions: expect.arrayContaining([expect.objectContaining({ type: 'Available', status: 'True' })]),
        })
      },
    ),
    { numRuns: 300 },
  )
})

test('a rollout keeps within its bounds at every step, also on stale caches', () => {
  const quiet = fc.constantFrom<Step>({ do: 'deployment' }, { do: 'sets' }, { do: 'start' }, { do: 'refresh' })
  fc.assert(
    fc.property(
      bound,
      bound,
      fc.integer({ min: 1, max: 8 }),
      fc.array(quiet, { maxLength: 60 }),
      (maxSurge, maxUnavailable, replicas, steps) => {
        const world = createWorld({ type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } }, replicas)
        finish(world)
        world.change({ template: template(1) })
        const bounds = rolloutBounds(world.deployment)
        for (const each of steps) {
          play(world, each)
          expect(sum([...world.sets.values()].map(replicasOf))).toBeLessThanOrEqual(replicas + bounds.maxSurge)
          expect(world.pods.size).toBeLessThanOrEqual(replicas + bounds.maxSurge)
          expect(world.available()).toBeGreaterThanOrEqual(replicas - bounds.maxUnavailable)
        }
      },
    ),
    { numRuns: 300 },
  )
})
