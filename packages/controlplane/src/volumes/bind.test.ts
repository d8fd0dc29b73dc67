import { mkdir, mkdtemp, readdir, rename, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { removeTree } from '@caisson/kubelet'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { claimsOf, PODS_BY_CLAIM, reconcileClaim, reconcileVolume, type VolumeContext } from './bind.ts'
import { PROVISIONED_BY, PROVISIONER } from './plan-claim.ts'

let server: TestServer
let root: string
let context: VolumeContext
beforeAll(async () => {
  server = await startTestServer({ startApiServer, componentUsers })
  const { informers, own: client, signal } = server
  informers.of(resources.persistentVolumes)
  informers.of(resources.persistentVolumeClaims)
  informers.of(resources.storageClasses)
  informers.of(resources.nodes)
  informers.of(resources.pods).addIndex(PODS_BY_CLAIM, claimsOf)
  await informers.synced(signal)
  root = await mkdtemp(join(tmpdir(), 'caisson-bind-'))
  context = {
    client,
    informers,
    directory: join(root, 'volumes'),
    removeTree,
    isInUse: () => false,
    signal,
    record: () => {},
  }
})
beforeEach(() => mkdir(context.directory, { recursive: true }))
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  // Whatever depth a failed test leaves.
  await removeTree(root)
})

/** A volume of ours whose claim is gone. */
async function released(name: string, path: string): Promise<void> {
  const volume = await server.client.create(resources.persistentVolumes, {
    metadata: { name, annotations: { [PROVISIONED_BY]: PROVISIONER } },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { namespace: 'default', name: 'gone', uid: 'gone' },
      hostPath: { path },
    },
  })
  server.informers.of(resources.persistentVolumes).observe(volume)
}

test('the directory of a volume goes, nested deeper than a path is long, and no link in it is followed', async () => {
  const path = join(context.directory, 'pvc-1')
  // No path to its end is one that the kernel takes: it is put together of two halves that are.
  const half = Array<string>(12).fill('d'.repeat(250)).join('/')
  await mkdir(join(path, half), { recursive: true })
  await mkdir(join(root, 'below', half), { recursive: true })
  await rename(join(root, 'below'), join(path, half, 'below'))
  await mkdir(join(root, 'outside'))
  await writeFile(join(root, 'outside/file'), '')
  await symlink(join(root, 'outside'), join(path, 'link'))
  await released('pvc-1', path)

  await reconcileVolume('pvc-1', context)
  expect(await readdir(context.directory)).toEqual([])
  expect(await readdir(join(root, 'outside'))).toEqual(['file'])
  const { items } = await server.client.list(resources.persistentVolumes, {})
  expect(items.filter((volume) => !volume.metadata.deletionTimestamp)).toEqual([])
})

test('a directory that is not what a volume of this name would have had stays', async () => {
  const path = join(context.directory, 'pvc-of-another')
  await mkdir(path)
  await released('pvc-2', path)
  await reconcileVolume('pvc-2', context)
  expect(await readdir(context.directory)).toEqual(['pvc-of-another'])
})

test('a claim says why its directory could not be made', async () => {
  const { client, informers } = server
  informers.of(resources.storageClasses).observe(
    await client.create(resources.storageClasses, {
      metadata: { name: 'local' },
      provisioner: PROVISIONER,
      volumeBindingMode: 'Immediate',
    }),
  )
  const spec = {
    storageClassName: 'local',
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: '1Gi' } },
  }
  const namespace = 'default'
  informers
    .of(resources.persistentVolumeClaims)
    .observe(await client.create(resources.persistentVolumeClaims, { metadata: { name: 'one' }, spec }, { namespace }))
  const directory = join(root, 'no-directory')
  await writeFile(directory, '')
  const said: string[] = []
  const record: VolumeContext['record'] = ({ metadata }, { type, reason, message }) =>
    said.push([metadata.name, type, reason, message].join(' '))
  await expect(reconcileClaim('default/one', { ...context, directory, record })).rejects.toThrow('ENOTDIR')
  expect(said).toEqual(['one Warning ProvisioningFailed the directory of the volume could not be made (ENOTDIR)'])
})
