import { expect, test } from 'vitest'
import { createMemberNames, generatedPrefix } from './member-names.ts'

const pool = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxWarmPool' as const,
  metadata: { name: 'pool', namespace: 'ns', uid: 'u' },
  spec: { sandboxTemplateRef: { name: 'web' } },
}

test('names are the same until they are seen, and then others', () => {
  const taken = new Set<string>()
  const names = createMemberNames('seed', (namespace, name) => taken.has(`${namespace}/${name}`))
  const first = names.next(pool, 3)
  expect(first).toEqual(names.next(pool, 3))
  expect(new Set(first).size).toBe(3)
  for (const name of first) expect(name).toMatch(/^pool-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  taken.add(`ns/${first[1]}`)
  const second = names.next(pool, 3)
  expect(second.slice(0, 2)).toEqual([first[0], first[2]])
  expect(first).not.toContain(second[2])
  for (const name of second) taken.add(`ns/${name}`)
  names.settle(pool)
  // Gone again: no reason to take a name twice.
  taken.clear()
  const third = names.next(pool, 3)
  expect(third.filter((name) => [...first, ...second].includes(name))).toEqual([])
})

test('another process, and another pool of that name, have others', () => {
  const [one, two] = ['a', 'b'].map((seed) => createMemberNames(seed, () => false).next(pool, 100))
  const three = createMemberNames('a', () => false).next({ ...pool, metadata: { ...pool.metadata, uid: 'v' } }, 100)
  const all = [one, two, three].flat()
  expect(new Set(all).size).toBe(all.length)
})

test('a long name is cut where a server cuts it', () => {
  expect(generatedPrefix('x'.repeat(70))).toBe('x'.repeat(58))
})
