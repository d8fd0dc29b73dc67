import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureCertificates } from '@caisson/apiserver'
import { expect, onTestFinished, test } from 'vitest'
import { nodeDataDirectory, nodeFiles, readJoinedNode, writeJoinedNode } from '../node/joined-node.ts'
import { nodeJoin } from './node-join.ts'

test('a machine that is a node takes no other name: its certificate, and its Node, have the one that it has', async () => {
  const root = mkdtempSync(join(tmpdir(), 'caisson-join-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const directory = nodeDataDirectory(join(root, 'node'))
  const node = {
    name: 'one',
    id: 'its-own',
    cluster: { server: 'https://127.0.0.1:1' },
    joinedWith: {},
    address: '127.0.0.1',
    port: 0,
    labels: {},
    taints: [],
    clusterDomain: 'cluster.local',
    serviceRange: '10.96.0.0/12',
  }
  writeJoinedNode(directory, node)
  const { administrator } = await ensureCertificates(join(root, 'certificates'), { hosts: [], now: Date.now })
  const { credentials, clientPair } = nodeFiles(directory)
  mkdirSync(credentials, { mode: 0o700 })
  writeFileSync(clientPair, administrator.certificate + administrator.key, { mode: 0o600 })
  const joining = nodeJoin({ dataDir: directory.root, name: 'other', labels: [], taints: [] })
  await expect(joining).rejects.toMatchObject({
    code: 'usage',
    message: "this machine is node one already: 'caisson node leave' first",
  })
  expect(readJoinedNode(directory)).toEqual(node)
})
