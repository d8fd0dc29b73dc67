import { describe, expect, test } from 'vitest'
import type { ObservedPool } from './observed-pool.ts'
import { aMember, aPolicy, aPool, aTemplate, observe, plan, three, writesOf } from './observed-pool-fixtures.ts'

const strategy = (type: 'Recreate' | 'OnReplenish' | 'RollingUpdate', rollingUpdate: object = {}) =>
  aPool({ updateStrategy: { type, rollingUpdate } })
const template = aTemplate(2)

describe('a new template', () => {
  const half = [aMember('a'), aMember('b', { template }), aMember('c', { ready: false })]
  test.each<[name: string, observed: ObservedPool, writes: string[]]>([
    ['OnReplenish: the old ones stay', observe({ template, pool: strategy('OnReplenish'), members: three }), []],
    ['nothing said: the same', observe({ template, members: three }), []],
    [
      'Recreate: all old ones go at once',
      observe({ template, pool: strategy('Recreate'), members: half }),
      ['delete a', 'delete c'],
    ],
    [
      'RollingUpdate: one more is made first',
      observe({ template, pool: strategy('RollingUpdate'), members: three }),
      ['create new-0'],
    ],
    [
      'and one old one goes once that is Ready',
      observe({ template, pool: strategy('RollingUpdate'), members: [...three, aMember('d', { template })] }),
      ['delete a'],
    ],
    [
      'but not before',
      observe({
        template,
        pool: strategy('RollingUpdate'),
        members: [...three, aMember('d', { template, ready: false })],
      }),
      [],
    ],
    [
      'old ones that are not Ready go at once',
      observe({ template, pool: strategy('RollingUpdate'), members: half }),
      ['delete c', 'create new-0'],
    ],
    [
      'no surge: one goes first',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 0 }), members: three }),
      ['delete a'],
    ],
    [
      'as many may be missing as it says',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 0, maxUnavailable: '67%' }), members: three }),
      ['delete a', 'delete b'],
    ],
    [
      'as many may be too many as it says',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 2 }), members: three }),
      ['create new-0', 'create new-1'],
    ],
    [
      'never more new ones than are wanted',
      observe({
        template,
        pool: strategy('RollingUpdate', { maxSurge: 5 }),
        members: [...three, aMember('d', { template })],
      }),
      ['delete a', 'create new-0', 'create new-1'],
    ],
    [
      'old ones that claims have been given stay',
      observe({ template, pool: strategy('Recreate'), members: three, isAssigned: () => true }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test.each([
    [
      'labels of the Pod',
      { podTemplate: { ...aTemplate().spec.podTemplate, metadata: { labels: { a: 'b' } } } },
      false,
    ],
    ['a claim of the same name', { volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }] }, true],
    ['a Service', { service: true }, true],
    ['another snapshot', { fromSnapshot: 'warm' }, true],
    ['how it is suspended', { suspension: { memory: 'Keep' as const } }, true],
    ['a policy, which changes the resolvers', { networkPolicy: {} }, true],
    ['who may set variables', { envVarsInjectionPolicy: 'Allowed' as const }, false],
  ])('with %s counts as another: %s', (_name, spec, other) => {
    const changed = aTemplate(1, spec)
    const given = plan(observe({ template: changed, pool: strategy('Recreate'), members: three }))
    expect(given.writes.some(({ verb }) => verb === 'delete')).toBe(other)
  })

  test('of another name counts as another, even if it says the same', () => {
    const renamed = { ...aTemplate(), metadata: { ...aTemplate().metadata, name: 'other' } }
    const pool = aPool({ sandboxTemplateRef: { name: 'other' }, updateStrategy: { type: 'Recreate' } })
    const given = plan(observe({ template: renamed, policy: { ...aPolicy(renamed) }, pool, members: three }))
    expect(writesOf(given)).toEqual(['delete a', 'delete b', 'delete c'])
  })
})
