import type { SandboxSnapshot } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { snapshotSource } from './snapshot-source.ts'

const snapshot: SandboxSnapshot = {
  apiVersion: 'caisson.dev/v1alpha1',
  kind: 'SandboxSnapshot',
  metadata: { name: 's', namespace: 'team', uid: 's' },
  spec: { sandboxName: 'own' },
  status: { nodeName: 'node', podUID: 'asked' },
}

const pod = (namespace: string, owner: string | undefined, kind = 'Sandbox', uid = 'asked'): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'own',
    namespace,
    uid,
    ...(owner && {
      ownerReferences: [{ apiVersion: 'agents.x-k8s.io/v1beta1', kind, name: owner, uid: 'o', controller: true }],
    }),
  },
})

test.each<[string, PodObject, boolean]>([
  ['the Pod of its Sandbox', pod('team', 'own'), true],
  ['that of a Sandbox of the same name elsewhere', pod('other', 'own'), false],
  ['that of another Sandbox', pod('team', 'neighbour'), false],
  ['that of a Job of the same name', pod('team', 'own', 'Job'), false],
  ['one that nobody owns', pod('team', undefined), false],
  ['one with another uid', pod('team', 'own', 'Sandbox', 'later'), false],
])('%s', (_name, candidate, expected) => {
  expect(snapshotSource(snapshot, [candidate])).toBe(expected ? candidate : undefined)
})
