import type { KubeObject } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuthorizedCluster, role, startAuthorizedCluster } from '../testing/authorized-cluster.ts'
import { startAggregation } from './aggregation.ts'
import { ROLE_RESOURCES } from './binding-index.ts'
import { type PolicyRule, rulesOf } from './policy-rules.ts'

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('aggregation', () => {
  test('follows labels, and settles for roles that select each other', async () => {
    const errors: unknown[] = []
    using _running = startAggregation(cluster.store, { onError: (error) => errors.push(error) })
    const rule = (resource: string): PolicyRule => ({ verbs: ['get'], apiGroups: ['x'], resources: [resource] })
    const selecting = (name: string, label: string, own: Record<string, string>): KubeObject => ({
      ...role(name, []),
      metadata: { name, labels: own },
      aggregationRule: { clusterRoleSelectors: [{ matchExpressions: [{ key: label, operator: 'Exists' }] }] },
    })
    const part = (name: string, labels: Record<string, string>): KubeObject => ({
      ...role(name, [rule(name)]),
      metadata: { name, labels },
    })
    const settled = async (): Promise<void> => {
      // Each pass is one write, and each write brings about the next pass; the last one changes nothing.
      for (let before = -1; before !== cluster.store.revision; ) {
        before = cluster.store.revision
        await cluster.store.write(() => undefined)
        await cluster.store.write(() => undefined)
      }
    }
    const objects = [
      selecting('one', 'a', { b: '' }),
      selecting('two', 'b', { a: '' }),
      part('p', { a: '' }),
      part('q', { b: '' }),
    ]
    await cluster.put(...objects)
    await settled()
    const rules = (name: string) =>
      rulesOf(cluster.store.get(ROLE_RESOURCES.clusterRoles, undefined, name) as KubeObject)
    expect([rules('one'), rules('two')]).toEqual([
      [rule('p'), rule('q')],
      [rule('p'), rule('q')],
    ])
    await cluster.put(part('p', {}))
    await settled()
    expect([rules('one'), rules('two')]).toEqual([[rule('q')], [rule('q')]])
    await cluster.remove(...objects)
    await settled()
    expect(errors).toEqual([])
  })
})
