/** What is kept of a container goes on where its image's name has moved on to another image, which pulls and imports do. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { defaultToolsDirectory, findTool, installTools } from '@caisson/runtime'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

const at = { namespace: 'default' }

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
  await serveSnapshots(node)
})
afterAll(() => node[Symbol.asyncDispose]())

/** An archive of an image `moving:latest` with a shell; others where `version` is another. */
async function archive(version: string): Promise<string> {
  const tools = defaultToolsDirectory()
  await installTools(tools, { tools: ['busybox'] })
  const busybox = await findTool('busybox', tools)
  const directory = mkdtempSync(join(tmpdir(), 'caisson-moving-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  for (const name of ['root/bin', 'root/proc', 'root/sys', 'root/dev', 'root/etc', 'root/tmp'])
    mkdirSync(join(directory, name), { recursive: true })
  copyFileSync(busybox?.path ?? '', join(directory, 'root/bin/busybox'))
  writeFileSync(join(directory, 'root/version'), version)
  execFileSync('tar', ['-cf', 'layer.tar', '-C', 'root', '.'], { cwd: directory })
  const layer = createHash('sha256')
    .update(readFileSync(join(directory, 'layer.tar')))
    .digest('hex')
  const config = {
    architecture: arch() === 'x64' ? 'amd64' : arch(),
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  }
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config))
  const manifest = [{ Config: 'config.json', RepoTags: ['moving:latest'], Layers: ['layer.tar'] }]
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest))
  execFileSync('tar', ['-cf', 'image.tar', 'manifest.json', 'config.json', 'layer.tar'], { cwd: directory })
  return join(directory, 'image.tar')
}

const spec = {
  terminationGracePeriodSeconds: 0,
  containers: [
    {
      name: 'main',
      image: 'moving:latest',
      imagePullPolicy: 'IfNotPresent',
      command: [
        '/bin/busybox',
        'sh',
        '-c',
        'echo begun; while :; do /bin/busybox cat /version; /bin/busybox sleep 0.1; done',
      ],
    },
  ],
}

test('what sleeps goes on with the image that it ran on, which stays for it, and all others begin with the new one', async () => {
  await node.runtime.images.import(await archive('old\n'))
  await node.create('box', spec, { ownerReferences: [BOX] })
  const box = await node.until('box', isReady)
  await expect.poll(() => node.log('box')).toContain('old')
  const kept = { name: 'kept', pod: box, endSource: true }
  expect(await takeSnapshot(node, kept)).toMatchObject({ status: 'True' })
  await node.client.delete(resources.pods, 'box', at)
  await node.gone('box')
  await node.runtime.images.import(await archive('new\n'))
  await node.create('copy', spec, { annotations: { 'caisson.dev/snapshot': 'kept' } })
  await node.create('other', spec)
  await node.until('copy', isReady)
  await node.until('other', isReady)
  await expect.poll(() => node.log('copy')).toMatch(/^(old\n)+$/)
  await expect.poll(() => node.log('other')).toMatch(/^begun\n(new\n)+$/)
})
