import type { KubeObject, OwnerReference } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { createOwnershipGraph, type Decision, type OwnershipGraph } from './ownership-graph.ts'

const owner = (uid: string, extra: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'Pod',
  name: uid,
  uid,
  ...extra,
})
const object = (uid: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { uid, name: uid, namespace: 'n', ...metadata },
})
const waits = { finalizers: ['foregroundDeletion'] }
const deleting = { deletionTimestamp: '2026-01-01T00:00:00Z' }

const SCOPES: Readonly<Record<string, 'Namespaced' | 'Cluster'>> = { Pod: 'Namespaced', Node: 'Cluster' }

function graphOf(...objects: KubeObject[]): OwnershipGraph {
  const graph = createOwnershipGraph(({ kind }) => SCOPES[kind])
  for (const one of objects) graph.observe('pods', one)
  return graph
}

/** A decision without the nodes' inner parts. */
function brief(decision: Decision): unknown {
  if (decision.kind === 'nothing') return 'nothing'
  const { node, ...rest } = decision
  return {
    ...rest,
    node: node.uid,
    ...('dependents' in decision && { dependents: decision.dependents.map((one) => one.uid) }),
  }
}

describe('decide', () => {
  test.each<[name: string, objects: KubeObject[], uid: string, expected: unknown]>([
    ['an object that nobody owns stays', [object('a')], 'a', 'nothing'],
    [
      'an object whose owner is there stays',
      [object('o'), object('a', { ownerReferences: [owner('o')] })],
      'a',
      'nothing',
    ],
    [
      'an object whose owner is gone goes',
      [object('a', { ownerReferences: [owner('o')] })],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Background' },
    ],
    [
      'an owner of a kind that is not watched counts as there',
      [object('a', { ownerReferences: [owner('o', { kind: 'Other' })] })],
      'a',
      'nothing',
    ],
    [
      'an owner in another namespace is none',
      [object('o', { namespace: 'm' }), object('a', { ownerReferences: [owner('o')] })],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Background' },
    ],
    [
      'a cluster-scoped owner owns in every namespace',
      [object('o', { namespace: '' }), object('a', { ownerReferences: [owner('o')] })],
      'a',
      'nothing',
    ],
    [
      'of two owners one is enough',
      [object('o'), object('a', { ownerReferences: [owner('o'), owner('p')] })],
      'a',
      { kind: 'drop-owners', node: 'a', uids: ['p'] },
    ],
    [
      'an owner that goes in the background does not take it along yet',
      [object('o', deleting), object('a', { ownerReferences: [owner('o')] })],
      'a',
      'nothing',
    ],
    [
      'an owner that waits for it takes it along',
      [
        object('o', { ...deleting, finalizers: ['foregroundDeletion'] }),
        object('a', { ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
      ],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Background' },
    ],
    [
      '… in the foreground where it owns in turn',
      [
        object('o', { ...deleting, finalizers: ['foregroundDeletion'] }),
        object('a', { ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
        object('b', { ownerReferences: [owner('a')] }),
      ],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Foreground' },
    ],
    [
      'an object that waits deletes those who block it',
      [
        object('o', { ...deleting, finalizers: ['foregroundDeletion'] }),
        object('a', { ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
        object('b', { ownerReferences: [owner('o')] }),
      ],
      'o',
      { kind: 'delete-dependents', node: 'o', dependents: ['a'] },
    ],
    [
      'an object that waits goes when nobody blocks it',
      [
        object('o', { ...deleting, finalizers: ['foregroundDeletion'] }),
        object('b', { ownerReferences: [owner('o')] }),
      ],
      'o',
      { kind: 'remove-finalizer', node: 'o', finalizer: 'foregroundDeletion' },
    ],
    [
      'an object that waits for what goes already only waits',
      [
        object('o', { ...deleting, finalizers: ['foregroundDeletion'] }),
        object('a', { ...deleting, ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
      ],
      'o',
      'nothing',
    ],
    [
      'an object that waits does not wait for what says from another namespace that it blocks it',
      [
        object('o', { ...deleting, ...waits }),
        object('a', { ...deleting, namespace: 'm', ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
      ],
      'o',
      { kind: 'remove-finalizer', node: 'o', finalizer: 'foregroundDeletion' },
    ],
    [
      '… which does not have it go in the foreground either',
      [
        object('o', { ...deleting, ...waits }),
        object('a', { ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
        object('b', { namespace: 'm', ownerReferences: [owner('a')] }),
      ],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Background' },
    ],
    [
      'a cluster-scoped object of a namespaced owner stays as it is',
      [object('a', { namespace: '', ownerReferences: [owner('o')] })],
      'a',
      'nothing',
    ],
    [
      '… whoever owns it besides',
      [object('a', { namespace: '', ownerReferences: [owner('o'), owner('gone', { kind: 'Node' })] })],
      'a',
      'nothing',
    ],
    [
      'a cluster-scoped object whose cluster-scoped owner is gone goes',
      [object('a', { namespace: '', ownerReferences: [owner('gone', { kind: 'Node' })] })],
      'a',
      { kind: 'delete', node: 'a', propagation: 'Background' },
    ],
    [
      'an orphaning owner does not look for dependents in another namespace',
      [
        object('o', { ...deleting, finalizers: ['orphan'] }),
        object('a', { namespace: 'm', ownerReferences: [owner('o')] }),
      ],
      'o',
      { kind: 'remove-finalizer', node: 'o', finalizer: 'orphan' },
    ],
    [
      'of objects that wait for each other in a circle each lets its owners go',
      [
        object('o', { ...deleting, ...waits, ownerReferences: [owner('b', { blockOwnerDeletion: true })] }),
        object('a', { ...deleting, ...waits, ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
        object('b', { ...deleting, ...waits, ownerReferences: [owner('a', { blockOwnerDeletion: true })] }),
      ],
      'b',
      { kind: 'unblock-owners', node: 'b' },
    ],
    [
      '… also where it owns itself',
      [object('o', { ...deleting, ...waits, ownerReferences: [owner('o', { blockOwnerDeletion: true })] })],
      'o',
      { kind: 'unblock-owners', node: 'o' },
    ],
    [
      'one that waits for a circle is not within it',
      [
        object('r', { ...deleting, ...waits }),
        object('o', {
          ...deleting,
          ...waits,
          ownerReferences: [owner('r', { blockOwnerDeletion: true }), owner('a', { blockOwnerDeletion: true })],
        }),
        object('a', { ...deleting, ...waits, ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
      ],
      'r',
      'nothing',
    ],
    [
      'a circle with a link that nobody waits for is none',
      [
        object('o', { ...deleting, ...waits, ownerReferences: [owner('b')] }),
        object('a', { ...deleting, ...waits, ownerReferences: [owner('o', { blockOwnerDeletion: true })] }),
        object('b', { ...deleting, ...waits, ownerReferences: [owner('a', { blockOwnerDeletion: true })] }),
      ],
      'a',
      'nothing',
    ],
    [
      'an orphaning owner lets its dependents go first',
      [object('o', { ...deleting, finalizers: ['orphan'] }), object('a', { ownerReferences: [owner('o')] })],
      'o',
      { kind: 'orphan-dependents', node: 'o', dependents: ['a'] },
    ],
    [
      '… and then itself',
      [object('o', { ...deleting, finalizers: ['orphan'] })],
      'o',
      { kind: 'remove-finalizer', node: 'o', finalizer: 'orphan' },
    ],
  ])('%s', (_name, objects, uid, expected) => {
    expect(brief(graphOf(...objects).decide(uid))).toEqual(expected)
  })
})

test('who is to be decided again', () => {
  const graph = graphOf(object('o'), object('a', { ownerReferences: [owner('o')] }))
  expect(graph.observe('pods', object('o', { ...deleting, finalizers: ['foregroundDeletion'] }))).toEqual(['o', 'a'])
  expect(graph.forget('a')).toEqual(['o'])
  expect(graph.observe('pods', object('b', { ownerReferences: [owner('o')] }))).toEqual(['b', 'o'])
  expect(graph.forget('o')).toEqual(['b'])
  expect(graph.inNamespace('n').map((node) => node.uid)).toEqual(['b'])
})

test('a change that leaves the owners the same objects has nothing decided again, unless one of them is not known', () => {
  const graph = graphOf(object('o'))
  const ownerReferences = [owner('o')]
  const again = () => graph.observe('pods', object('a', { ownerReferences, labels: { some: 'change' } }))
  expect([again(), again()]).toEqual([['a'], []])
  expect(graph.observe('pods', object('o', { ...deleting, finalizers: ['orphan'] }))).toEqual(['o', 'a'])
  expect(again()).toEqual(['a', 'o'])
  expect(graph.forget('o')).toEqual(['a'])
  expect(again()).toEqual(['a'])
  expect(brief(graph.decide('a'))).toMatchObject({ kind: 'delete' })
  expect(graph.observe('pods', object('a', { ownerReferences, ...deleting }))).toEqual(['a'])
})
