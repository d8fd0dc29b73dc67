import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planRuleChange, type RuleChange, type RulePiece } from './rule-piece.ts'

const plan = (before: Record<string, RulePiece>, change: Record<string, RulePiece | undefined>): readonly string[] =>
  planRuleChange('inet t', new Map(Object.entries(before)), new Map(Object.entries(change)))

const POLICY: RulePiece = {
  sets: [{ name: 'peers', kind: 'set', declaration: 'type ipv4_addr' }],
  chains: [{ name: 'policy', rules: ['ip saddr @peers accept'] }],
}
const POD: RulePiece = {
  elements: [
    { set: 'peers', key: '10.0.0.2' },
    { set: 'ingress', key: '10.0.0.2', value: 'goto policy' },
  ],
}

test('what is new is made before what leads to it', () => {
  expect(plan({}, { pod: POD, policy: POLICY })).toEqual([
    'add set inet t peers { type ipv4_addr; }',
    'add chain inet t policy',
    'add rule inet t policy ip saddr @peers accept',
    'add element inet t peers { 10.0.0.2 }',
    'add element inet t ingress { 10.0.0.2 : goto policy }',
  ])
})

test('what goes is left by what leads to it first', () => {
  expect(plan({ pod: POD, policy: POLICY }, { pod: undefined, policy: undefined })).toEqual([
    'delete element inet t peers { 10.0.0.2 }',
    'delete element inet t ingress { 10.0.0.2 }',
    'flush chain inet t policy',
    'delete chain inet t policy',
    'delete set inet t peers',
  ])
})

test('a change is as large as what differs', () => {
  const other: RulePiece = { elements: [{ set: 'ingress', key: '10.0.0.2', value: 'accept' }] }
  expect(plan({ pod: POD, policy: POLICY }, { pod: other })).toEqual([
    'delete element inet t peers { 10.0.0.2 }',
    'delete element inet t ingress { 10.0.0.2 }',
    'add element inet t ingress { 10.0.0.2 : accept }',
  ])
  expect(plan({ pod: POD }, { pod: POD })).toEqual([])
  const stricter = { ...POLICY, chains: [{ name: 'policy', rules: ['drop'] }] }
  expect(plan({ policy: POLICY }, { policy: stricter })).toEqual([
    'flush chain inet t policy',
    'add rule inet t policy drop',
  ])
})

test.each<[string, RulePiece]>([
  ['a command in a rule', { chains: [{ name: 'a', rules: ['accept\nflush ruleset'] }] }],
  ['a command in a key', { elements: [{ set: 'a', key: "1.1.1.1 }; include '/etc/passwd'" }] }],
  ['a name that is none', { chains: [{ name: 'a b', rules: [] }] }],
])('%s is refused', (_what, piece) => {
  expect(() => plan({}, { piece })).toThrow(/is nothing that a rule may consist of/)
})

test('a set does not change what it holds under the same name', () => {
  const other: RulePiece = { ...POLICY, sets: [{ name: 'peers', kind: 'set', declaration: 'type inet_service' }] }
  expect(() => plan({ policy: POLICY }, { policy: other })).toThrow('was declared as type ipv4_addr')
})

describe('whatever happens', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  // Names belong to one piece each, as the kernel's objects do; verdicts of maps lead to any of the chains.
  const piece = (owner: string): fc.Arbitrary<RulePiece> =>
    fc.record({
      sets: fc
        .subarray(['x', 'y'])
        .map((names) =>
          names.map((set) => ({ name: `${owner}_${set}`, kind: 'set' as const, declaration: 'type ipv4_addr' })),
        ),
      chains: fc
        .dictionary(fc.constantFrom('x', 'y'), fc.array(fc.constantFrom('accept', 'drop'), { maxLength: 2 }))
        .map((chains) => Object.entries(chains).map(([chain, rules]) => ({ name: `${owner}_${chain}`, rules }))),
      elements: fc
        .dictionary(fc.constantFrom('1', '2', '3'), fc.constantFrom('accept', 'drop'))
        .map((elements) =>
          Object.entries(elements).map(([key, value]) => ({ set: 'map', key: `${owner}${key}`, value })),
        ),
    })
  const change = fc
    .dictionary(name, fc.boolean())
    .chain((keys) =>
      fc.record(
        Object.fromEntries(
          Object.entries(keys).map(([key, kept]) => [key, kept ? piece(key) : fc.constant(undefined)]),
        ),
      ),
    )

  test('the table comes to what the pieces say, by commands that are valid one after the other', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
        const pieces = new Map<string, RulePiece>()
        const table = modelTable()
        for (const each of changes) {
          const map: RuleChange = new Map(Object.entries(each as Record<string, RulePiece | undefined>))
          for (const command of planRuleChange('inet t', pieces, map)) table.run(command)
          for (const [key, value] of map) {
            if (value) pieces.set(key, value)
            else pieces.delete(key)
          }
        }
        const whole = modelTable()
        for (const command of planRuleChange('inet t', new Map(), pieces)) whole.run(command)
        expect(table.content()).toEqual(whole.content())
      }),
    )
  })
})

interface ModelTable {
  run(command: string): void
  content(): unknown
}

/** As strict as the kernel: nothing is made twice, and nothing that is not there is changed. */
function modelTable(): ModelTable {
  const sets = new Map<string, Map<string, string>>([['map', new Map()]])
  const chains = new Map<string, string[]>()

  function make<V>(where: Map<string, V>, name: string, value: V): void {
    expect(where.has(name)).toBe(false)
    where.set(name, value)
  }
  function there<V>(where: Map<string, V>, name: string): V {
    expect(where.has(name)).toBe(true)
    return where.get(name) as V
  }
  function remove(where: Map<string, unknown>, name: string): void {
    there(where, name)
    where.delete(name)
  }
  const sorted = <V>(map: Map<string, V>): [string, V][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

  return {
    run(command) {
      const [verb, kind, , , name = '', ...rest] = command.split(' ')
      const text = rest.join(' ')
      const elements = text.replace(/^\{ | \}$/g, '').split(', ')
      const runs: Record<string, () => void> = {
        'add set': () => make(sets, name, new Map()),
        'delete set': () => remove(sets, name),
        'add chain': () => make(chains, name, []),
        'delete chain': () => {
          expect(there(chains, name)).toEqual([])
          remove(chains, name)
        },
        'add rule': () => void there(chains, name).push(text),
        'flush chain': () => void there(chains, name).splice(0),
        'add element': () => {
          for (const [key = '', value = ''] of elements.map((each) => each.split(' : ')))
            make(there(sets, name), key, value)
        },
        'delete element': () => {
          for (const key of elements) remove(there(sets, name), key)
        },
      }
      runs[`${verb} ${kind}`]?.()
    },
    content: () => ({ sets: sorted(sets).map(([name, set]) => [name, sorted(set)]), chains: sorted(chains) }),
  }
}
