import { expect, test } from 'vitest'
import { parseLabels, parseTaints } from './node-words.ts'

test('labels and taints are several to an option, and several options', () => {
  expect(parseLabels(['a=b,example.com/tier=c', 'empty='])).toEqual({ a: 'b', 'example.com/tier': 'c', empty: '' })
  expect(parseTaints(['a=b:NoSchedule,example.com/c:NoExecute', 'd=:PreferNoSchedule'])).toEqual([
    { key: 'a', value: 'b', effect: 'NoSchedule' },
    { key: 'example.com/c', effect: 'NoExecute' },
    { key: 'd', effect: 'PreferNoSchedule' },
  ])
})

test.each(['a', '=b', 'a=b c', '-a=b', 'a/b/c=d', `a=${'b'.repeat(64)}`])('%s is no label', (word) => {
  expect(() => parseLabels([word])).toThrow(`--labels takes labels such as tier=sandboxes, not ${JSON.stringify(word)}`)
})

test.each(['a', 'a=b', 'a=b:', 'a=b:Never', ':NoSchedule', 'a=b c:NoSchedule', 'a=b:NoSchedule:NoExecute'])(
  '%s is no taint',
  (word) => {
    expect(() => parseTaints([word])).toThrow('--taints takes taints such as gvisor=only:NoSchedule')
  },
)
