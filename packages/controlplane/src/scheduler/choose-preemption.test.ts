import type { PodObject } from '@caisson/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { choosePreemption } from './choose-preemption.ts'
import { unfit } from './fit.ts'
import { createNeighbours } from './neighbours.ts'
import { createNodeLoads, requestOf, together } from './node-loads.ts'

interface Wish {
  priority: number
  millis: number
  node: 'one' | 'two'
  app: string
}

function pod(uid: string, { priority, millis, node, app }: Partial<Wish>): PodObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: uid, uid, namespace: 'default', labels: { app: app ?? '' } },
    spec: {
      ...(node && { nodeName: node }),
      priority: priority ?? 0,
      containers: [{ name: 'a', resources: { requests: { cpu: `${millis}m` } } }],
    },
  }
}

const nodes = ['one', 'two'].map((name) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { allocatable: { cpu: '1', pods: '10' } },
}))
const wish = fc.record({
  priority: fc.integer({ min: 0, max: 3 }),
  millis: fc.constantFrom(100, 200, 300, 400),
  node: fc.constantFrom('one' as const, 'two' as const),
  app: fc.constantFrom('a', 'b'),
})

test('who goes is less important, enough, and no more than that; and no budget is overdrawn without need', () => {
  fc.assert(
    fc.property(
      fc.array(wish, { maxLength: 9 }),
      wish,
      fc.record({ a: fc.integer({ min: 0, max: 2 }), b: fc.integer({ min: 0, max: 2 }) }),
      (there, wanted, allowed) => {
        const incoming = pod('incoming', { priority: wanted.priority, millis: wanted.millis })
        const loads = createNodeLoads()
        there.forEach((each, index) => loads.observe(pod(`p${index}`, each)))
        const request = requestOf(incoming)
        const load = nodes.map((node) => ({
          node,
          requested: loads.of(node.metadata.name),
          ports: [],
        }))
        const neighbours = createNeighbours(incoming, {
          nodes,
          placed: loads.placed(),
          averse: [],
          labelsOfNamespace: () => ({}),
        })
        const reasons = load.map((each) => unfit(incoming, request, each, neighbours))
        fc.pre(reasons.every((each) => each.length > 0))
        const budgets = Object.entries(allowed).map(([app, disruptionsAllowed]) => ({
          apiVersion: 'policy/v1',
          kind: 'PodDisruptionBudget',
          metadata: { name: app, namespace: 'default' },
          spec: { selector: { matchLabels: { app } } },
          status: { disruptionsAllowed } as never,
        }))
        const chosen = choosePreemption(incoming, {
          loads: load,
          reasons,
          neighbours,
          placedOn: (node) => loads.placed(node),
          budgets,
        })
        const lowerOn = (node: string): PodObject[] =>
          [...loads.placed(node)].map((each) => each.pod).filter((each) => (each.spec?.priority ?? 0) < wanted.priority)
        const fitsWithout = (node: string, gone: readonly PodObject[]): boolean => {
          const one = load.find((each) => each.node.metadata.name === node)
          if (!one) return false
          const requested = gone.reduce((sum, each) => together(sum, requestOf(each), -1), one.requested)
          return unfit(incoming, request, { ...one, requested }, neighbours).length === 0
        }
        if (!chosen) {
          for (const name of ['one', 'two']) expect(fitsWithout(name, lowerOn(name))).toBe(false)
          return
        }
        const { node, victims } = chosen
        expect(victims.length).toBeGreaterThan(0)
        for (const victim of victims) expect(lowerOn(node)).toContain(victim)
        expect(fitsWithout(node, victims)).toBe(true)
        for (const victim of victims)
          expect(
            fitsWithout(
              node,
              victims.filter((each) => each !== victim),
            ),
          ).toBe(false)
      },
    ),
    { numRuns: 500 },
  )
})

test('of two that would do, the one goes whose budget allows it', () => {
  const loads = createNodeLoads()
  loads.observe(pod('guarded', { millis: 500, node: 'one', app: 'a' }))
  loads.observe(pod('free', { millis: 500, node: 'one', app: 'b', priority: 1 }))
  const [node] = nodes
  if (!node) throw new Error('no node')
  const incoming = pod('incoming', { millis: 500, priority: 2 })
  const surroundings = { nodes: [node], placed: loads.placed(), averse: [], labelsOfNamespace: () => ({}) }
  const neighbours = createNeighbours(incoming, surroundings)
  const load = [{ node, requested: loads.of('one'), ports: [] }]
  const budget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'a', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'a' } } },
    status: { disruptionsAllowed: 0 } as never,
  }
  const chosen = choosePreemption(incoming, {
    loads: load,
    reasons: load.map((each) => unfit(incoming, requestOf(incoming), each, neighbours)),
    neighbours,
    placedOn: (name) => loads.placed(name),
    budgets: [budget],
  })
  expect(chosen?.victims.map(({ metadata }) => metadata.name)).toEqual(['free'])
})
