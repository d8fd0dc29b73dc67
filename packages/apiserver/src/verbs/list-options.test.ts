import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { EMPTY_QUERY, parseRequestInfo } from '../http/request-info.ts'
import { builtinResources } from '../registry/builtin/index.ts'
import type { Resource } from '../registry/resource.ts'
import type { Call, Query } from './call.ts'
import { listOptions } from './list-options.ts'

const PODS = builtinResources().find(({ kind }) => kind === 'Pod') as Resource

function matches(query: Query, object: object): boolean {
  const info = parseRequestInfo('GET', '/api/v1/pods', EMPTY_QUERY)
  return listOptions({ info, query } as Call, PODS, false).selection.matches(object as KubeObject)
}

test.each([
  ['a', { a: '' }, true],
  ['a', {}, false],
  ['!a', {}, true],
  ['!a', { a: '' }, false],
  ['a=x,a!=y', { a: 'x' }, true],
  ['a=x,a=y', { a: 'x' }, false],
  ['a in (x,y),a in (y,z)', { a: 'y' }, true],
  ['a notin (x,y)', {}, true],
  ['a notin (x,y)', { a: 'y' }, false],
  ['a>1,a>5,a<9,a<7', { a: '6' }, true],
  ['a>1,a>5', { a: '5' }, false],
  ['a<9,a<7', { a: '7' }, false],
  ['a>1', { a: 'x' }, false],
  ['a<1', {}, false],
  ['a>-100,b', { a: '-99', b: 'x' }, true],
])('%s over %j: %s', (labelSelector, labels, expected) => {
  expect(matches({ labelSelector }, { metadata: { labels } })).toBe(expected)
  // With so many others that labels are looked for among them.
  const more = `${labelSelector},${Array.from({ length: 20 }, (_, index) => `!k${index}`).join()}`
  expect(matches({ labelSelector: more }, { metadata: { labels } })).toBe(expected)
})

test.each([
  ['metadata.name=x,metadata.name=y', false],
  ['metadata.name=x,metadata.name!=y', true],
  ['metadata.name!=x', false],
  ['spec.nodeName=,metadata.name=x', true],
])('%s: %s', (fieldSelector, expected) => {
  expect(matches({ fieldSelector }, { metadata: { name: 'x' } })).toBe(expected)
})

test('of an object each label and each field is looked at once, however often a selector names it', () => {
  let reads = 0
  const counted = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(of, field) {
        reads++
        return Reflect.get(of, field)
      },
      getOwnPropertyDescriptor(of, field) {
        reads++
        return Reflect.getOwnPropertyDescriptor(of, field)
      },
    })
  const terms = (term: (index: number) => string): string => Array.from({ length: 1000 }, (_, n) => term(n)).join()
  const metadata = counted({ name: 'x', labels: counted({ a: '5000', b: 'x' }) })
  const labelSelector = `${terms((n) => `a!=${n}`)},${terms((n) => `a>${n}`)},${terms((n) => `!k${n}`)}`
  expect(matches({ labelSelector, fieldSelector: terms((n) => `metadata.name!=n${n}`) }, { metadata })).toBe(true)
  expect(reads).toBeLessThan(30)
})
