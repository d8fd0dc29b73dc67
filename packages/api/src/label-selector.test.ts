import { expect, test } from 'vitest'
import { type LabelSelector, selectorText, selects } from './label-selector.ts'

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
  [{ matchExpressions: [{ key: 'a', operator: 'Unheard' }] }, { a: 'x' }, false],
  [{ matchLabels: { a: 'x' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['y'] }] }, { a: 'y' }, false],
  [{ matchLabels: { a: 'x' }, matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['y'] }] }, { a: 'x' }, true],
  [{ matchLabels: { a: 'x' }, matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, { a: 'x' }, false],
  [{ matchLabels: { a: 'x' }, matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, {}, false],
])('%j over %j: %s', (selector, labels, expected) => {
  expect(selects(selector, labels)).toBe(expected)
  if (!selector) return
  const { matchExpressions = [] }: LabelSelector = selector
  const longer = { ...selector, matchExpressions: [...matchExpressions, ...numbered('DoesNotExist')] }
  expect(selects(longer, labels)).toBe(expected)
  expect(selects(longer, { ...labels, k7: '' })).toBe(false)
})

test.each([
  ['Exists', {}, 0],
  ['Exists', Object.fromEntries(numbered('').map(({ key }) => [key, ''])), 1],
  ['DoesNotExist', {}, 1],
])('of many labels that have to be there or not (%s) each is asked for', (operator, labels, expected) => {
  const selector = { matchExpressions: numbered(operator) }
  expect(Number(selects(selector, labels))).toBe(expected)
  expect(selects(selector, { ...labels, ...Object.fromEntries(manyLabels) })).toBe(expected === 1)
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

test('as many labels are looked at as there are, however many requirements there are', () => {
  let reads = 0
  const labels = new Proxy<Record<string, string>>(
    { app: 'web' },
    {
      getOwnPropertyDescriptor(target, key) {
        reads++
        return Reflect.getOwnPropertyDescriptor(target, key)
      },
    },
  )
  expect(selects({ matchExpressions: numbered('DoesNotExist') }, labels)).toBe(true)
  expect(reads).toBeLessThan(10)
})

const manyLabels = Array.from({ length: 200 }, (_, index) => [`other${index}`, ''])

function numbered(operator: string): { key: string; operator: string }[] {
  return Array.from({ length: 100 }, (_, index) => ({ key: `k${index}`, operator }))
}
