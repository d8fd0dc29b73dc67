/** What containers of a Pod begin with that comes from a snapshot, with real ones. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findCondition, type SandboxSnapshot, snapshotCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { defineResource, type PodObject, resources, sandboxSnapshots } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'

const CRDS = defineResource<ReturnType<typeof snapshotCrd>>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
})
const at = { namespace: 'default' }

let node: ScratchNode
let outside: string
beforeAll(async () => {
  outside = mkdtempSync(join(tmpdir(), 'caisson-outside-'))
  writeFileSync(join(outside, 'file'), 'of the machine')
  node = await startScratchNode(apiserver)
  await node.client.create(CRDS, snapshotCrd())
})
afterAll(async () => {
  await node[Symbol.asyncDispose]()
  rmSync(outside, { recursive: true })
})

/** Puts a link in the place of the file that its snapshot has, to where the one leads that it finds. */
const LINKER = `
import os, time
open('/v/file', 'w').write('of the sandbox')
while True:
    if os.path.islink('/v/ask'):
        os.remove('/v/file')
        os.rename('/v/ask', '/v/file')
        open('/v/linked', 'w')
    time.sleep(0.01)
`

function container(name: string, script: string): Container {
  return {
    name,
    image: 'caisson.dev/host',
    command: ['python3', '-c', script],
    volumeMounts: [{ name: 'v', mountPath: '/v' }],
  }
}

const start = (name: string, metadata: PodObject['metadata']): Promise<PodObject> =>
  node.create(
    name,
    {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [container('main', LINKER)],
    },
    metadata,
  )

async function take(name: string, pod: PodObject): Promise<void> {
  const metadata = { name, finalizers: ['caisson.dev/snapshot-files'] }
  await node.client.create(sandboxSnapshots, { metadata, spec: { sandboxName: 'box' } }, at)
  const status = { nodeName: 'scratch', podUID: pod.metadata.uid ?? '' }
  await node.client.patchStatus(sandboxSnapshots, name, { status }, at)
  for await (const { object } of node.client.watch(sandboxSnapshots, at)) {
    const ready = findCondition((object as SandboxSnapshot).status?.conditions, 'Ready')
    if (!ready) continue
    expect(ready.reason).toBe('Taken')
    return
  }
}

test('a container that is put beside a restored one begins with nothing, and no volume is filled again', async () => {
  const owner = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    name: 'box',
    uid: 'box-uid',
    controller: true,
  }
  await start('box', { ownerReferences: [owner] })
  const box = await node.until('box', isReady)
  const volumeOf = ({ metadata }: PodObject) => join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes/v')
  await expect.poll(() => readdirSync(volumeOf(box))).toContain('file')
  await take('taken', box)
  await start('copy', { annotations: { 'caisson.dev/snapshot': 'taken' } })
  const copy = await node.until('copy', isReady)
  symlinkSync(join(outside, 'file'), join(volumeOf(copy), 'ask'))
  await expect.poll(() => readdirSync(volumeOf(copy))).toContain('linked')
  const before = statSync(join(outside, 'file'))
  await node.client.patch(
    resources.pods,
    'copy',
    { spec: { ephemeralContainers: [container('debug', 'import time; print("here", flush=True); time.sleep(1000)')] } },
    { ...at, subresource: 'ephemeralcontainers' },
  )
  const begun = await node.until('copy', ({ status }) => {
    const state = status?.ephemeralContainerStatuses?.[0]?.state
    return Boolean(state?.running || state?.terminated || (state?.waiting?.message ?? '') !== '')
  })
  expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('of the machine')
  expect(statSync(join(outside, 'file'))).toMatchObject({ uid: before.uid, mtimeMs: before.mtimeMs })
  expect(begun.status?.ephemeralContainerStatuses?.[0]?.state).toMatchObject({ running: {} })
  await expect.poll(() => node.log('copy', { container: 'debug' })).toContain('here')
})
