import { controllerOf, type Sandbox, type SandboxWarmPool, scaledValue } from '@caisson/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isLike } from '../blueprint/sandbox-spec.ts'
import { aMember, aPool, aTemplate, notReady, observe, plan } from './observed-pool-fixtures.ts'

interface World {
  pool: SandboxWarmPool
  members: Map<string, Sandbox>
  made: number
}

const template = aTemplate(2)
const isReady = ({ status }: Sandbox): boolean => status?.conditions?.[0]?.status === 'True'
/** Orphans are not the pool's yet. */
const ready = ({ members }: World): number =>
  [...members.values()].filter((each) => isReady(each) && controllerOf(each)).length

/** Runs one plan on a server that does what it is asked. */
function step(world: World): number {
  const observed = observe({
    pool: world.pool,
    template,
    members: [...world.members.values()],
    newNames: (count) => Array.from({ length: count }, (_, index) => `m-${world.made + index}`),
  })
  const { writes } = plan(observed)
  for (const write of writes) {
    if (write.verb === 'delete') world.members.delete(write.target.name)
    else if (write.verb === 'create') {
      const { name = '' } = write.object.metadata
      world.made++
      world.members.set(name, aMember(name, { template, conditions: notReady('DependenciesNotReady') }))
    } else {
      const { name } = write.target
      world.members.set(name, aMember(name, { template, ready: isReady(world.members.get(name) as Sandbox) }))
    }
  }
  return writes.length
}

const bound = fc.oneof(fc.nat(4), fc.constantFrom('0%', '25%', '50%', '100%'))
const strategy = fc.oneof(
  fc.constantFrom({ type: 'Recreate' as const }, { type: 'OnReplenish' as const }),
  fc
    .record({ maxSurge: bound, maxUnavailable: bound })
    .map((rollingUpdate) => ({ type: 'RollingUpdate' as const, rollingUpdate })),
)
const member = fc.record({
  template: fc.constantFrom(aTemplate(1), template),
  ready: fc.boolean(),
  owner: fc.constantFrom('pool-uid', 'pool-uid', 'pool-uid', null),
})
const world: fc.Arbitrary<World> = fc
  .record({ replicas: fc.nat(8), updateStrategy: strategy, members: fc.array(member, { maxLength: 12 }) })
  .map(({ replicas, updateStrategy, members }) => ({
    pool: aPool({ replicas, updateStrategy }),
    members: new Map(members.map((options, index) => [`old-${index}`, aMember(`old-${index}`, options)])),
    made: 0,
  }))
/** Which of the members that are not Ready become so after each plan. */
const luck = fc.array(fc.nat(5), { maxLength: 40 })

test('from anywhere, in any order of becoming Ready, a pool comes to what was asked for and stays within its bounds', () => {
  fc.assert(
    fc.property(world, luck, (given, turns) => {
      const { replicas = 1, updateStrategy } = given.pool.spec
      const rolling = updateStrategy?.type === 'RollingUpdate' ? updateStrategy.rollingUpdate : undefined
      const surge = rolling ? scaledValue(rolling.maxSurge ?? 0, replicas, 'up') : 0
      const unavailable = rolling ? scaledValue(rolling.maxUnavailable ?? 0, replicas, 'down') : 0
      const missing = surge === 0 && unavailable === 0 ? 1 : unavailable
      for (const turn of [...turns, ...Array.from({ length: 40 }, () => 0)]) {
        const [before, readyBefore] = [given.members.size, ready(given)]
        step(given)
        expect(given.members.size).toBeLessThanOrEqual(Math.max(before, replicas + surge))
        if (rolling) expect(ready(given)).toBeGreaterThanOrEqual(Math.min(readyBefore, replicas - missing))
        const [next] = [...given.members.keys()]
          .filter((name) => !isReady(given.members.get(name) as Sandbox))
          .slice(turn)
        if (next)
          given.members.set(next, { ...(given.members.get(next) as Sandbox), status: aMember(next).status ?? {} })
      }
      expect(step(given)).toBe(0)
      expect(given.members.size).toBe(replicas)
      const current = [...given.members.values()].every(({ spec }) => isLike(template, spec, undefined))
      expect(current || updateStrategy?.type === 'OnReplenish').toBe(true)
    }),
    { numRuns: 200 },
  )
})
