import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'
import type { NodeConnection } from './node-proxy.ts'

let server: RunningServer
/** Names of Pods that were woken, with how it goes on. */
let woken: { name: string; signal: AbortSignal; done: () => void; fail: (error: Error) => void }[]
let allowed: (subresource: string | undefined) => boolean
let asked: PromiseWithResolvers<void>

const node: NodeConnection = {
  request: (_request, response) => void response.end('log'),
  upgrade(request, socket) {
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${request.url}`)
  },
}

beforeEach(async () => {
  woken = []
  allowed = () => true
  asked = Promise.withResolvers()
  server = await startServer({
    resources: builtinResources(),
    node: () => node,
    authorize: (attributes) => ({
      allowed: allowed('subresource' in attributes ? attributes.subresource : undefined),
      reason: '',
    }),
    awaken({ name }, signal) {
      if (name !== 'sleeper') return undefined
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      woken.push({ name, signal, done: resolve, fail: reject })
      asked.resolve()
      return promise
    },
  })
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
  await server.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'here' } } })
})

afterEach(() => server[Symbol.asyncDispose]())

const POD = '/api/v1/namespaces/default/pods/sleeper'

async function createPod(): Promise<void> {
  await server.request('POST', '/api/v1/namespaces/default/pods', {
    body: { metadata: { name: 'sleeper' }, spec: { nodeName: 'here', containers: [{ name: 'main', image: 'x' }] } },
  })
}

function upgrade(path: string): { answer: Promise<string>; gone: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const request = httpsRequest(server.url + path, {
    method: 'POST',
    agent: server.agent,
    headers: { connection: 'Upgrade', upgrade: 'echo' },
  })
  request.on('error', reject)
  request.on('upgrade', (_response, socket: Duplex, head) => {
    socket.on('error', reject)
    if (head.length > 0) resolve(head.toString())
    else once(socket, 'data').then(([chunk]) => resolve(String(chunk)), reject)
  })
  request.on('response', (response) => {
    let text = ''
    response.on('data', (chunk: Buffer) => (text += chunk.toString()))
    response.on('end', () => resolve(`${response.statusCode} ${(JSON.parse(text) as { message: string }).message}`))
  })
  request.end()
  return { answer: promise, gone: () => request.destroy() }
}

test('an exec of a Pod that sleeps is held until it has been woken', async () => {
  const { answer } = upgrade(`${POD}/exec?command=date&stdout=1`)
  await asked.promise
  await createPod()
  woken[0]?.done()
  expect(await answer).toBe('/exec/default/sleeper/main?output=1&command=date')
})

test('who cannot be woken is told why', async () => {
  const { answer } = upgrade(`${POD}/portforward?ports=80`)
  await asked.promise
  woken[0]?.fail(new Error('there is no room'))
  expect(await answer).toBe(
    '503 pod "sleeper" was suspended because nothing happened in it, and could not be woken: there is no room',
  )
})

test('nobody is woken for a client that has gone, or longer than it waits', async () => {
  const { answer, gone } = upgrade(`${POD}/attach?stdout=1`)
  await asked.promise
  const aborted = once(woken[0]?.signal as AbortSignal, 'abort')
  gone()
  await expect(answer).rejects.toThrow('socket hang up')
  await aborted
})

test.each([
  ['kubectl exec', 200],
  ['kubectl cp', 200],
  ['kubectl attach', 200],
  ['kubectl port-forward', 200],
  ['kubectl get', 404],
  ['constructor', 404],
])('kubectl, which looks for the Pod first, finds it awake: %s', async (command, status) => {
  const answer = server.request('GET', POD, { headers: { 'Kubectl-Command': command } })
  if (status === 200) {
    await asked.promise
    await createPod()
    woken[0]?.done()
  }
  expect([(await answer).status, woken.length]).toEqual([status, status === 200 ? 1 : 0])
})

test('who may not connect to a Pod does not wake it', async () => {
  allowed = (subresource) => subresource === undefined || subresource === 'portforward'
  expect(await upgrade(`${POD}/exec?command=date&stdout=1`).answer).toMatch(/^403 /)
  const { status } = await server.request('GET', POD, { headers: { 'Kubectl-Command': 'kubectl exec' } })
  expect([status, woken.length]).toEqual([403, 0])
})

test('looking at a Pod, its log and others of its kind wakes nobody', async () => {
  await createPod()
  const paths = [POD, `${POD}/log`, POD.replace('/sleeper', ''), `${POD}/status`]
  const answers = await Promise.all(
    paths.map((path) => server.request('GET', path, { headers: { 'Kubectl-Command': 'kubectl logs' } })),
  )
  expect([answers.map(({ status }) => status), woken.length]).toEqual([[200, 200, 200, 200], 0])
  expect((await server.request('DELETE', POD, { headers: { 'Kubectl-Command': 'kubectl exec' } })).status).toBe(200)
  expect(woken.length).toBe(0)
})
