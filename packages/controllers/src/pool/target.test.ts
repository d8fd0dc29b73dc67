import type { SandboxWarmPool } from '@caisson/api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Target, targetOf } from './target.ts'

const NOW = 1_000_000

function aPool(spec: Partial<SandboxWarmPool['spec']>): SandboxWarmPool {
  return {
    apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
    kind: 'SandboxWarmPool',
    metadata: { name: 'pool' },
    spec: { sandboxTemplateRef: { name: 'web' }, ...spec },
  }
}

/** Claims so many seconds ago. */
const ago = (...seconds: number[]) => seconds.map((each) => NOW - each * 1000)

test.each<[name: string, spec: Partial<SandboxWarmPool['spec']>, demand: number[], target: Target]>([
  ['nothing said: one', {}, [], { members: 1 }],
  ['replicas, whatever is asked for', { replicas: 3 }, ago(9, 8, 7, 6), { members: 3 }],
  ['no demand: the lower bound', { minReplicas: 2, maxReplicas: 5 }, [], { members: 2 }],
  ['less demand than that: the lower bound', { minReplicas: 2, maxReplicas: 5 }, ago(1), { members: 2 }],
  [
    'as many as were asked for',
    { minReplicas: 1, maxReplicas: 5 },
    ago(20, 10, 5),
    { members: 3, shrinksAt: NOW + 280_000 },
  ],
  [
    'never more than the upper bound',
    { minReplicas: 1, maxReplicas: 2 },
    ago(30, 20, 10),
    { members: 2, shrinksAt: NOW + 280_000 },
  ],
  [
    'what is long ago does not count',
    { minReplicas: 0, maxReplicas: 5, idleTimeoutSeconds: 10 },
    ago(11, 10, 9),
    { members: 1, shrinksAt: NOW + 1_000 },
  ],
  [
    'only an upper bound: replicas are the lower',
    { replicas: 2, maxReplicas: 4 },
    ago(3, 2, 1),
    { members: 3, shrinksAt: NOW + 297_000 },
  ],
  [
    'only a lower bound: replicas are the upper',
    { replicas: 2, minReplicas: 1 },
    ago(3, 2, 1),
    { members: 2, shrinksAt: NOW + 298_000 },
  ],
  ['an upper bound of none: none', { replicas: 2, maxReplicas: 0 }, ago(1), { members: 0 }],
])('%s', (_name, spec, demand, target) => {
  expect(targetOf(aPool(spec), demand, NOW)).toEqual(target)
})

test('a pool shrinks at the very moment that it says, and not before', () => {
  const bound = fc.integer({ min: 0, max: 6 })
  const moments = fc.array(fc.integer({ min: NOW - 20_000, max: NOW }), { maxLength: 10 })
  fc.assert(
    fc.property(bound, bound, moments, (a, b, times) => {
      const demand = times.sort((left, right) => left - right)
      const pool = aPool({ minReplicas: Math.min(a, b), maxReplicas: Math.max(a, b), idleTimeoutSeconds: 10 })
      const { members, shrinksAt } = targetOf(pool, demand, NOW)
      if (shrinksAt === undefined) return
      expect(targetOf(pool, demand, shrinksAt - 1).members).toBe(members)
      expect(targetOf(pool, demand, shrinksAt).members).toBeLessThan(members)
    }),
  )
})
