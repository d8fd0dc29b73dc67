import type { Write } from '@caisson/controllers'
import { expect, test } from 'vitest'
import { planStatefulSet } from './plan-stateful-set.ts'
import type { RevisionObject } from './revisions.ts'
import type { StatefulSetObject } from './stateful-pod.ts'

const set: StatefulSetObject = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'db', namespace: 'default', uid: 'set-1', generation: 1 },
  spec: {
    serviceName: 'db',
    replicas: 2_147_483_647,
    podManagementPolicy: 'Parallel',
    selector: { matchLabels: { app: 'db' } },
    template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'main', image: 'x' }] } },
  },
}

function plan(revisions: readonly RevisionObject[]): readonly Write[] {
  return planStatefulSet({ set, pods: [], revisions, claims: new Map(), failures: [] }, 0).writes
}

test('however many replicas are wanted at once, so many are made in one pass', () => {
  const [made] = plan([])
  const revision = made?.verb === 'create' ? (made.object as unknown as RevisionObject) : undefined
  const names = plan(revision ? [revision] : []).map(({ id }) => id)
  expect(names).toHaveLength(500)
  expect([names[0], names.at(-1)]).toEqual([expect.stringMatching(/db-0$/), expect.stringMatching(/db-499$/)])
})
