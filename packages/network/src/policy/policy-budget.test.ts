import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPolicyBudget } from './policy-budget.ts'
import { EVERYBODY, type Policy, type PolicyRule, readPolicy } from './policy-model.ts'

const range = (count: number): PolicyRule => ({
  peers: {
    selectors: [],
    ranges: Array.from({ length: count }, (_, at) => ({ from: at * 2, to: at * 2 })),
    metadata: [],
  },
  ports: undefined,
})

const policy = (id: string, ranges: number, namespace = 'a'): Policy => ({
  id,
  namespace,
  podSelector: EVERYBODY,
  ingress: [range(ranges)],
  egress: undefined,
  problem: undefined,
})

const shown = (change: ReadonlyMap<string, Policy | undefined>): unknown =>
  [...change].map(([key, found]) => [key, found?.ingress?.length, found?.problem])

describe('the policies of a namespace', () => {
  test('that fit are in force as they are', () => {
    const budget = createPolicyBudget(120)
    expect(shown(budget.set('a/1', policy('1', 49), '2026'))).toEqual([['a/1', 1, undefined]])
    expect(shown(budget.set('a/2', policy('2', 49), '2027'))).toEqual([['a/2', 1, undefined]])
  })

  test('that do not fit open nothing, and say why; those of others are not touched', () => {
    const budget = createPolicyBudget(100)
    budget.set('a/1', policy('1', 60), '2026')
    expect(shown(budget.set('a/2', policy('2', 60), '2027'))).toEqual([
      [
        'a/2',
        0,
        'it counts for 71 rules, ranges and labels, and the older policies of namespace a for 71 of the 100 that it may have: remove some, or write them shorter',
      ],
    ])
    expect(shown(budget.set('b/1', policy('3', 60, 'b'), '2028'))).toEqual([['b/1', 1, undefined]])
    // One that fits beside the first is in force, and the second still is not.
    expect(shown(budget.set('a/3', policy('4', 10), '2029'))).toEqual([['a/3', 1, undefined]])
    expect(shown(budget.remove('a/1'))).toEqual([['a/2', 1, undefined]])
  })

  test('an older one that grows closes a younger one', () => {
    const budget = createPolicyBudget(100)
    budget.set('a/1', policy('1', 10), '2026')
    budget.set('a/2', policy('2', 60), '2027')
    const change = budget.set('a/1', policy('1', 80), '2026')
    expect([...change].map(([key, found]) => [key, found?.ingress?.length])).toEqual([
      ['a/1', 1],
      ['a/2', 0],
    ])
  })
})

type Spec = NonNullable<Parameters<typeof readPolicy>[0]['spec']>

describe('what it costs to compare Pods with a policy counts', () => {
  const read = (spec: Spec): Policy =>
    readPolicy({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'p', namespace: 'a', uid: 'x' },
      spec,
    })
  /** The smallest budget in which a policy is in force as it is written. */
  function costOf(spec: Spec): number {
    let cost = 0
    while (createPolicyBudget(cost).set('a/p', read(spec), '2026').get('a/p')?.problem !== undefined) cost++
    return cost
  }
  const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
  const labels = (count: number): Record<string, string> => Object.fromEntries(many(count, (at) => [`k${at}`, 'v']))
  const rule = { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }

  test.each<[string, Spec, number]>([
    ['a rule that selects Pods', rule, 0],
    ['each selector more', { podSelector: {}, ingress: [{ from: many(11, () => ({ podSelector: {} })) }] }, 30],
    [
      'each label of a Pod',
      { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: labels(10) } }] }] },
      30,
    ],
    [
      'each label of a namespace, and that it may be any',
      { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: labels(10) }, podSelector: {} }] }] },
      80 + 30,
    ],
    [
      'one namespace by its name, as its own',
      {
        podSelector: {},
        ingress: [
          { from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'b' } }, podSelector: {} }] },
        ],
      },
      3,
    ],
    [
      'each value',
      {
        podSelector: {},
        ingress: [
          { from: [{ podSelector: { matchExpressions: [{ key: 'k', operator: 'In', values: many(9, String) }] } }] },
        ],
      },
      3 + 9,
    ],
    ['that it is for some, and each label of theirs', { ...rule, podSelector: { matchLabels: labels(10) } }, 10 + 30],
    ['each direction', { ...rule, policyTypes: ['Ingress', 'Egress'], egress: [{ ports: [] }] }, 5 + 1],
    [
      'each name of a port',
      { podSelector: {}, ingress: [{ ...rule.ingress[0], ports: many(10, (at) => ({ port: `p${at}` })) }] },
      100 + 10,
    ],
  ])('%s', (_what, spec, more) => {
    expect(costOf(spec) - costOf(rule)).toBe(more)
  })

  test('one that has no rules counts, too', () => expect(costOf({ podSelector: {} })).toBe(5))

  test('one whose Pods cost too much to be found is for all of its namespace, and opens nothing', () => {
    const budget = createPolicyBudget(330)
    const asking = (count: number): Policy => read({ podSelector: { matchLabels: labels(count) }, ingress: [{}] })
    const inForce = (change: ReadonlyMap<string, Policy | undefined>): unknown =>
      [...change].map(([key, found]) => [key, found?.podSelector.weight, found?.ingress?.length])
    const set = (name: string, count: number): unknown => inForce(budget.set(`a/${name}`, asking(count), name))
    expect(set('1', 60)).toEqual([['a/1', 180, 1]])
    // Who it is for can be afforded, its rule cannot.
    expect(set('2', 40)).toEqual([['a/2', 120, 0]])
    // One stands for all that are for the whole namespace.
    expect(set('3', 1)).toEqual([
      ['a/3', 3, undefined],
      ['a/', 0, 0],
    ])
    expect(set('4', 1)).toEqual([['a/4', 3, undefined]])
    expect(inForce(budget.remove('a/4'))).toEqual([])
    expect(inForce(budget.remove('a/3'))).toEqual([['a/', undefined, undefined]])
  })
})

test('whatever comes and goes, what is in force depends on what is there alone, and stays within the budget', () => {
  const step = fc.record({
    key: fc.constantFrom('1', '2', '3', '4'),
    ranges: fc.option(fc.nat(80), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const budget = createPolicyBudget(100)
      const there = new Map<string, number>()
      const inForce = new Map<string, Policy | undefined>()
      for (const { key, ranges } of steps) {
        if (ranges === undefined) there.delete(key)
        else there.set(key, ranges)
        const change = ranges === undefined ? budget.remove(key) : budget.set(key, policy(key, ranges), key)
        if (ranges === undefined) inForce.delete(key)
        for (const [each, found] of change) inForce.set(each, found)
      }
      let spent = 0
      let all = false
      for (const key of [...there.keys()].sort()) {
        // As it is, closed for whom it is for, or left to one that is for all.
        const costs = [11 + (there.get(key) ?? 0), 5, 0]
        const level = costs.findIndex((cost) => spent + cost <= 100 || cost === 0)
        spent += costs[level] ?? 0
        all ||= level === 2
        expect([key, inForce.get(key)?.ingress?.length]).toEqual([key, [1, 0, undefined][level]])
      }
      expect(inForce.get('a/')?.ingress?.length).toBe(all ? 0 : undefined)
      inForce.delete('a/')
      expect([...inForce.keys()].sort()).toEqual([...there.keys()].sort())
    }),
  )
})
