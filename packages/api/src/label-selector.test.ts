import { expect, test } from 'vitest'
import { selectorText, selects } from './label-selector.ts'

test.each([
  [undefined, {}, false],
  [{}, undefined, true],
  [{ matchLabels: { a: 'b' } }, { a: 'b', c: 'd' }, true],
  [{ matchLabels: { a: 'b' } }, { a: 'c' }, false],
  [{ matchLabels: { constructor: 'x' } }, {}, false],
  [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['x', 'y'] }] }, { a: 'y' }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['x'] }] }, {}, true],
  [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['x'] }] }, { a: 'x' }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, { a: '' }, true],
  [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, { a: '' }, false],
  [{ matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'Exists' }] }, { a: 'b' }, false],
  [{ matchExpressions: [{ key: 'a', operator: 'Unheard' }] }, {}, false],
])('%j over %j: %s', (selector, labels, expected) => {
  expect(selects(selector, labels)).toBe(expected)
})

test('the text of a selector is in the order of its keys', () => {
  const matchExpressions = [
    { key: 'b', operator: 'In', values: ['y', 'x'] },
    { key: 'd', operator: 'DoesNotExist' },
    { key: 'a', operator: 'NotIn', values: ['x'] },
  ]
  expect(selectorText({ matchLabels: { c: 'd' }, matchExpressions })).toBe('a notin (x),b in (x,y),c=d,!d')
  expect(selectorText({})).toBe('')
})

test.each([
  [true, 1],
  [false, 3],
])('a selector that never changes (%s) is read once, however often it is asked', (frozen, expected) => {
  let reads = 0
  const requirement = {
    key: 'tier',
    operator: 'In',
    get values() {
      reads++
      return ['web']
    },
  }
  const selector = { matchExpressions: [requirement] }
  if (frozen) Object.freeze(selector)
  expect(['web', 'db', 'web'].map((tier) => selects(selector, { tier }))).toEqual([true, false, true])
  expect(reads).toBe(expected)
})

test('many requirements are looked at once for labels that never change', () => {
  let reads = 0
  const requirements = Array.from({ length: 100 }, (_, index) => ({ key: `k${index}`, operator: 'DoesNotExist' }))
  const selector = Object.freeze({ matchExpressions: requirements })
  const labels = Object.freeze(
    new Proxy<Record<string, string>>(
      { app: 'web' },
      {
        getOwnPropertyDescriptor(target, key) {
          reads++
          return Reflect.getOwnPropertyDescriptor(target, key)
        },
      },
    ),
  )
  reads = 0
  expect([selects(selector, labels), selects(selector, labels), selects(selector, { k7: '' })]).toEqual([
    true,
    true,
    false,
  ])
  expect(reads).toBeLessThan(150)
})
