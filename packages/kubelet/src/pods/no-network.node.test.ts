/** A machine that cannot have a network: no nft in the directory of tools, and none that is installed. */
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import type { PodObject } from '@caisson/client'
import { defaultToolsDirectory, findTool, installTools } from '@caisson/runtime'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

// For this process alone: who else is on the machine needs the one that is installed.
vi.mock(import('node:fs/promises'), async (original) => {
  const files = await original()
  return {
    ...files,
    access: (path, mode) =>
      String(path).endsWith('/nft') ? Promise.reject(new Error('hidden')) : files.access(path, mode),
  }
})

describe('without nftables a Pod', () => {
  let node: ScratchNode
  let toolsDirectory: string
  beforeAll(async () => {
    expect(await findTool('nft', defaultToolsDirectory())).toBeUndefined()
    toolsDirectory = await mkdtemp(join(tmpdir(), 'caisson-tools-'))
    const runsc = (await installTools(defaultToolsDirectory(), { tools: ['runsc'] })).get('runsc')
    await mkdir(join(toolsDirectory, 'bin'))
    await symlink(runsc?.path ?? '', join(toolsDirectory, 'bin/runsc'))
    node = await startScratchNode(apiserver, { toolsDirectory })
  })
  afterAll(async () => {
    await node[Symbol.asyncDispose]()
    await rm(toolsDirectory, { recursive: true, force: true })
  })

  const containers = (fields: object = {}) => [
    { name: 'main', image: 'caisson.dev/host', command: ['sh', '-c', 'cat /proc/net/dev; sleep 1000'], ...fields },
  ]
  const networkReady = ({ status }: PodObject) =>
    status?.conditions?.find(({ type }) => type === 'caisson.dev/NetworkReady')

  test('runs without a network, and its condition says why', async () => {
    await node.create('plain', { containers: containers() })
    const pod = await node.until('plain', ({ status }) => status?.phase === 'Running')
    expect(networkReady(pod)).toMatchObject({
      status: 'False',
      reason: 'NetworkMissing',
      message: expect.stringContaining('sandboxes have no network without nftables'),
    })
    expect(pod.status?.podIP).toBeUndefined()
    await node.restart()
    await node.kubelet.idle()
    expect(networkReady(await node.until('plain', () => true))).toMatchObject({ status: 'False' })
    expect(await node.log('plain')).not.toContain('eth0')
  })

  test('that publishes a port is not begun', async () => {
    await node.create('published', {
      containers: containers({ ports: [{ containerPort: 80, hostPort: 18_080, hostIP: '127.0.0.1' }] }),
    })
    const pod = await node.until('published', ({ status }) =>
      status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'FailedCreatePodSandBox'),
    )
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toContain('install it')
  })
})
