import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, isReady, remove } from '../testing/scratch-pods.ts'

let node: ScratchNode
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-work-'))
  node = await startScratchNode(apiserver)
})
afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** Names of a few files. */
const FILES = 100_000

test('Pods with more files to give to their group than there are passes keep nobody else from starting', async () => {
  const script = `
import os, sys
for number in range(${FILES}):
    first = '%s/%d' % (sys.argv[1], number // 30000)
    if number % 30000 == 0: open(first, 'w').close()
    os.link(first, '%s/f%d' % (sys.argv[1], number))
`
  execFileSync('python3', ['-c', script, directory])
  const { client } = node
  const at = { namespace: 'default' }
  const spec = { accessModes: ['ReadWriteMany'], storageClassName: '', volumeName: 'many' }
  const claim = await client.create(
    resources.persistentVolumeClaims,
    { metadata: { name: 'many' }, spec: { ...spec, resources: { requests: { storage: '1Gi' } } } },
    at,
  )
  const anyNode = { key: 'kubernetes.io/hostname', operator: 'Exists' }
  const claimRef = { ...at, name: 'many', uid: claim.metadata.uid ?? '' }
  await client.create(resources.persistentVolumes, {
    metadata: { name: 'many' },
    spec: {
      accessModes: ['ReadWriteMany'],
      capacity: { storage: '1Gi' },
      claimRef,
      local: { path: directory },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [anyNode] }] } },
    },
  })
  await client.patchStatus(resources.persistentVolumeClaims, 'many', { status: { phase: 'Bound' } }, at)
  const greedy = Array.from({ length: 33 }, (_, index) => `greedy-${index}`)
  for (const name of greedy)
    await node.create(name, {
      securityContext: { fsGroup: 2000 },
      volumes: [{ name: 'many', persistentVolumeClaim: { claimName: 'many' } }],
      containers: [container('exec sleep 1000')],
    })
  await node.create('other', { containers: [container('exec sleep 1000')] })
  await node.until('other', isReady)
  const last = await client.get(resources.pods, 'greedy-32', at)
  expect(last.status?.containerStatuses?.[0]?.state?.running).toBeUndefined()
  for (const name of [...greedy, 'other']) await remove(node, name)
  expect(node.errors).toEqual([])
})
