import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSpreadQueue } from './spread-queue.ts'

test('takes from the node that has most left, the oldest first, and what has no node last', () => {
  const queue = createSpreadQueue()
  for (const [key, node] of [
    ['x', ''],
    ['a1', 'a'],
    ['b1', 'b'],
    ['b2', 'b'],
    ['b3', 'b'],
    ['a2', 'a'],
  ] as const)
    queue.add(key, node)
  const taken = Array.from({ length: 7 }, () => queue.take())
  expect(taken).toEqual(['b1', 'a1', 'b2', 'a2', 'b3', 'x', undefined])
})

type Step = { do: 'add'; key: string; node: string } | { do: 'remove'; key: string } | { do: 'take' }

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key, node: fc.constantFrom('', 'n1', 'n2', 'n3') }),
  fc.record({ do: fc.constant('remove' as const), key }),
  fc.record({ do: fc.constant('take' as const) }),
)

test('whatever is done to it, what is taken is the oldest of a node than which none has more', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = createSpreadQueue()
      let model: { key: string; node: string }[] = []
      for (const each of steps) {
        if (each.do === 'add') {
          queue.add(each.key, each.node)
          if (!model.some(({ key, node }) => key === each.key && node === each.node))
            model = [...model.filter(({ key }) => key !== each.key), { key: each.key, node: each.node }]
        } else if (each.do === 'remove') {
          queue.remove(each.key)
          model = model.filter(({ key }) => key !== each.key)
        } else {
          const taken = queue.take()
          const onNodes = model.filter(({ node }) => node !== '')
          const sizeOf = (node: string) => onNodes.filter((one) => one.node === node).length
          const most = Math.max(0, ...onNodes.map(({ node }) => sizeOf(node)))
          const best = onNodes.filter(({ node }) => sizeOf(node) === most)
          const oldest = best.filter((one) => best.find(({ node }) => node === one.node) === one)
          const allowed = onNodes.length ? oldest.map(({ key }) => key) : model.slice(0, 1).map(({ key }) => key)
          expect(allowed.length ? allowed : [undefined]).toContain(taken)
          model = model.filter(({ key }) => key !== taken)
        }
        expect(queue.size).toBe(model.length)
      }
    }),
  )
})
