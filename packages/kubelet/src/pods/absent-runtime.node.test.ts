import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { expect, test } from 'vitest'
import { startScratchNode } from '../testing/scratch-node.ts'

test('a Pod on a node without runsc says so, with the way out and without paths, and nothing weaker runs it', async () => {
  const toolsDirectory = await mkdtemp(join(tmpdir(), 'caisson-no-tools-'))
  try {
    await using node = await startScratchNode(apiserver, { toolsDirectory })
    await node.create('no-runsc', { containers: [{ name: 'main', image: 'caisson.dev/host' }] })
    const pod = await node.until('no-runsc', ({ status }) =>
      status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'FailedCreatePodSandBox'),
    )
    const message = `runsc was not found among this node's tools nor in PATH: run "caisson doctor --fix"`
    expect(pod.status).toMatchObject({ phase: 'Pending', containerStatuses: [{ state: { waiting: { message } } }] })
    expect(node.events).toContain(`no-runsc: FailedCreatePodSandBox Failed to create pod sandbox: ${message}`)
    expect(await node.runtime.list()).toEqual([])
  } finally {
    await rm(toolsDirectory, { recursive: true, force: true })
  }
})
