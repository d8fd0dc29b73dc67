import type { PodObject } from '@caisson/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createNodeLoads } from './node-loads.ts'

function pod(uid: string, fields: { node?: string | undefined; cpu?: string; phase?: string } = {}): PodObject {
  const { node, cpu = '100m', phase } = fields
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: uid, uid },
    spec: {
      ...(node !== undefined && { nodeName: node }),
      containers: [{ name: 'a', resources: { requests: { cpu } } }],
    },
    ...(phase !== undefined && { status: { phase } }),
  }
}

test('a Pod counts from when its binding is begun to when it has ended', () => {
  const loads = createNodeLoads()
  const said = (): Array<[string, number]> => [...loads.of('here')]
  loads.observe(pod('a'))
  expect(said()).toEqual([])
  loads.assume(pod('a'), 'here')
  expect(said()).toEqual([
    ['pods', 1],
    ['cpu', 0.1],
  ])
  // Something else about it changes before its binding is heard of.
  loads.observe(pod('a'))
  loads.observe(pod('a', { node: 'here' }))
  expect(said()).toEqual([
    ['pods', 1],
    ['cpu', 0.1],
  ])
  loads.observe(pod('a', { node: 'here', phase: 'Failed' }))
  expect(said()).toEqual([
    ['pods', 0],
    ['cpu', 0],
  ])
  loads.assume(pod('b'), 'here')
  loads.forget(pod('b'))
  expect(said()).toEqual([
    ['pods', 0],
    ['cpu', 0],
  ])
})

test('whatever is seen in whatever order, the sum is that of what is there', () => {
  const step = fc.record({
    uid: fc.constantFrom('a', 'b', 'c'),
    cpu: fc.constantFrom('1m', '333m', '1', '0.7'),
    node: fc.constantFrom(undefined, 'one', 'two'),
    kind: fc.constantFrom('observe', 'assume', 'forget', 'end'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const loads = createNodeLoads()
      const there = new Map<string, { node: string; millis: number }>()
      for (const { uid, cpu, node, kind } of steps) {
        const millis = cpu.endsWith('m') ? Number.parseInt(cpu, 10) : Number(cpu) * 1000
        if (kind === 'assume') {
          loads.assume(pod(uid, { cpu }), node ?? 'one')
          there.set(uid, { node: node ?? 'one', millis })
        } else if (kind === 'forget' || kind === 'end') {
          if (kind === 'end') loads.observe(pod(uid, { node, cpu, phase: 'Succeeded' }))
          else loads.forget(pod(uid))
          there.delete(uid)
        } else {
          loads.observe(pod(uid, { node, cpu }))
          if (node !== undefined) there.set(uid, { node, millis })
        }
        for (const name of ['one', 'two']) {
          const here = [...there.values()].filter((each) => each.node === name)
          expect(loads.of(name).get('pods') ?? 0).toBe(here.length)
          expect(Math.round((loads.of(name).get('cpu') ?? 0) * 1000)).toBe(
            here.reduce((sum, each) => sum + each.millis, 0),
          )
        }
      }
    }),
  )
})
