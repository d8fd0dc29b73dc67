/** Which of what happens in a real sandbox is noticed, and which is not. */
import { connect } from 'node:net'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const AFTER_SECONDS = 3
const at = { namespace: 'default' }

/** Answers each connection to 8080 with a line, none to 8081, and stays silent itself. */
const SERVER = `
import socket
silent = socket.create_server(("", 8081), backlog=100)
server = socket.create_server(("", 8080))
while True:
    connection, _ = server.accept()
    connection.sendall(b"hello\\n")
    connection.close()
`

async function create(name: string, fields: Partial<Container>, seconds = AFTER_SECONDS): Promise<PodObject> {
  const main = { name: 'main', image: 'caisson.dev/host', imagePullPolicy: 'IfNotPresent', ...fields }
  const annotations = { 'caisson.dev/idle-after-seconds': String(seconds) }
  await node.create(name, { terminationGracePeriodSeconds: 0, containers: [main] }, { annotations })
  return await node.until(name, (pod) => isReady(pod) && idle(pod) !== undefined)
}

const idle = ({ status }: PodObject) => status?.conditions?.find(({ type }) => type === 'caisson.dev/Idle')
const becomes = (name: string, status: 'True' | 'False'): Promise<PodObject> =>
  node.until(name, (pod) => idle(pod)?.status === status)

function ask(pod: PodObject): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: pod.status?.podIP ?? '', port: 8080 })
    socket.on('error', reject).on('close', () => resolve())
    socket.resume()
  })
}

async function remove(name: string): Promise<void> {
  await node.client.delete(resources.pods, name, { ...at, gracePeriodSeconds: 0 })
  await node.gone(name)
}

test('a connection from outside is noticed, the node’s own probes are not, and a new agent goes on with the same clock', async () => {
  const pod = await create('served', {
    command: ['python3', '-c', SERVER],
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    // One is always on its way.
    livenessProbe: { httpGet: { port: 8081 }, timeoutSeconds: 1, periodSeconds: 1, failureThreshold: 1000 },
  })
  await becomes('served', 'True')
  // A single short connection beside them.
  await ask(pod)
  await becomes('served', 'False')
  await becomes('served', 'True')
  // Not by what the new agent looks at, either.
  const before = node.writes.length
  await node.restart()
  await node.kubelet.idle()
  const after = await node.client.get(resources.pods, 'served', at)
  expect([idle(after)?.status, idle(after)?.message]).toEqual([
    'True',
    expect.stringMatching(/^Nothing has happened since/),
  ])
  expect(node.writes.slice(before)).toEqual([])
  expect(node.errors).toEqual([])
  await remove('served')
})

test('what says something is not idle, what only computes is', async () => {
  await create('talker', { command: ['sh', '-c', 'while sleep 1; do echo something; done'] })
  await create('thinker', { command: ['sh', '-c', 'while sleep 0.01; do :; done'] })
  await becomes('thinker', 'True')
  const talker = await node.client.get(resources.pods, 'talker', at)
  expect(idle(talker)).toMatchObject({ status: 'False', reason: 'Active' })
  await remove('talker')
  await remove('thinker')
})

test('half of the time is announced, with one write, and nothing else', async () => {
  await create('quiet', { command: ['sleep', '1000'] }, 10)
  const before = node.writes.length
  const told = await node.until('quiet', (pod) => idle(pod)?.reason === 'Quiet')
  expect(idle(told)?.message).toMatch(/^Nothing has happened since [\dT:Z-]+: idle at [\dT:Z-]+ unless something does$/)
  await becomes('quiet', 'True')
  const own = node.writes.slice(before).filter((write) => write.includes('quiet'))
  expect(own).toEqual(['PATCH pods/quiet/status', 'PATCH pods/quiet/status'])
  // Nobody wants to know any more: it is not there for whoever asks again.
  await node.client.patch(
    resources.pods,
    'quiet',
    { metadata: { annotations: { 'caisson.dev/idle-after-seconds': null } } } as never,
    at,
  )
  await node.until('quiet', (pod) => idle(pod) === undefined)
  await remove('quiet')
})
