import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { Toleration } from 'kubernetes-types/core/v1.js'
import { describe, expect, test } from 'vitest'
import { mergeTolerations } from './tolerations.ts'

/** Kubernetes' `isSuperset`: whether `wide` tolerates all that `narrow` does. */
function includes(wide: Toleration, narrow: Toleration): boolean {
  if (isDeepStrictEqual(wide, narrow)) return true
  const { key = '', operator = 'Equal', effect = '', value = '', tolerationSeconds: limit } = wide
  if (key !== (narrow.key ?? '') && (key !== '' || operator !== 'Exists')) return false
  if (effect !== '' && effect !== (narrow.effect ?? '')) return false
  if (effect === 'NoExecute' && limit !== undefined) {
    if (narrow.tolerationSeconds === undefined || narrow.tolerationSeconds > limit) return false
  }
  if (operator === 'Exists') return true
  return operator === 'Equal' && narrow.operator === 'Equal' && (narrow.value ?? '') === value
}

/** Kubernetes' `MergeTolerations`, which compares each with each. */
function merged(all: readonly Toleration[]): Toleration[] {
  const kept: Toleration[] = []
  for (const [index, one] of all.entries()) {
    if (kept.some((other) => includes(other, one))) continue
    if (all.slice(index + 1).some((other) => !isDeepStrictEqual(one, other) && includes(other, one))) continue
    kept.push(one)
  }
  return kept
}

const toleration: fc.Arbitrary<Toleration> = fc.record(
  {
    key: fc.constantFrom('', 'a', 'b'),
    operator: fc.constantFrom('Exists', 'Equal', 'Other'),
    value: fc.constantFrom('', 'x'),
    effect: fc.constantFrom('', 'NoExecute', 'NoSchedule'),
    tolerationSeconds: fc.constantFrom(0, 1, 2),
  },
  { requiredKeys: [], noNullPrototype: true },
)

describe('mergeTolerations', () => {
  test('leaves what comparing each with each leaves', () => {
    const some = fc.array(toleration, { maxLength: 8 })
    fc.assert(
      fc.property(some, some, (first, second) => {
        expect(mergeTolerations(first, second)).toEqual(merged([...first, ...second]))
      }),
      { numRuns: 2_000 },
    )
  })

  test.each<[name: string, make: (index: number) => Toleration]>([
    ['of many keys', (index) => ({ key: `k${index}`, operator: 'Exists' })],
    ['of one key', (index) => ({ key: 'k', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: index })],
  ])('looks at each a few times, however many there are: %s', (_name, make) => {
    const count = 1_000
    let reads = 0
    const all = Array.from({ length: count }, (__, index) => {
      const { key, ...rest } = make(index)
      return {
        ...rest,
        get key() {
          reads++
          return key ?? ''
        },
      }
    })
    mergeTolerations(all, [{ key: 'other', operator: 'Exists' }])
    expect(reads).toBeLessThan(20 * count)
  })
})
