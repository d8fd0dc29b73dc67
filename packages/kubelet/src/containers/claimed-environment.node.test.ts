import { once } from 'node:events'
import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type KubectlServer, startKubectlServer } from '../testing/kubectl-server.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'

let node: ScratchNode
let server: KubectlServer
beforeAll(async () => {
  node = await startScratchNode(apiserver)
  server = await startKubectlServer(node.kubelet.api)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
})

const at = { namespace: 'default' }

/** What a command in the container prints. */
async function executed(container: string, script: string): Promise<string> {
  const command = ['sh', '-c', script].map((arg) => `command=${encodeURIComponent(arg)}`).join('&')
  const url = `ws://127.0.0.1:${server.port}/exec/default/web/${container}?${command}&output=1&error=1`
  const socket = new WebSocket(url, ['v5.channel.k8s.io'])
  let printed = ''
  socket.on('message', (data: Buffer) => {
    if (data[0] === 1 || data[0] === 2) printed += data.toString('utf8', 1)
  })
  await once(socket, 'close')
  return printed
}

test('what is started in a container has what its claim gave it, and what ran before has not', async () => {
  const mount = (name: string, fields: object = {}) => ({
    name,
    image: 'caisson.dev/host',
    imagePullPolicy: 'IfNotPresent' as const,
    env: [{ name: 'PATH', value: '/bin:/usr/bin' }],
    command: ['sh', '-c', 'echo "[$A]"; until [ -e /tmp/stop ]; do sleep 0.1; done; echo "[$A]"'],
    volumeMounts: [{ name: `env-${name}`, mountPath: '/run/caisson/env', readOnly: true }],
    ...fields,
  })
  const volume = (name: string) => ({
    name: `env-${name}`,
    secret: { secretName: `web.env.${name}`, optional: true, defaultMode: 0o444 },
  })
  await node.create('web', {
    securityContext: { runAsUser: 1000 },
    volumes: [volume('main'), volume('side')],
    containers: [mount('main'), mount('side')],
  })
  await node.until('web', isReady)
  expect(await executed('main', 'echo "[$A]"; ls /run/caisson/env')).toBe('[]\n')

  const data = { A: 'given', PATH: '/claimed:/bin:/usr/bin', NUL: 'a\0b' }
  const encoded = Object.entries(data).map(([name, value]) => [name, Buffer.from(value).toString('base64')])
  await node.client.create(
    resources.secrets,
    { metadata: { name: 'web.env.main' }, data: Object.fromEntries(encoded) },
    at,
  )
  expect(await executed('main', 'echo "[$A] $PATH [$NUL]"')).toBe('[given] /claimed:/bin:/usr/bin []\n')
  expect(await executed('side', 'echo "[$A] $PATH"')).toBe('[] /bin:/usr/bin\n')
  await expect.poll(() => executed('main', 'cat /run/caisson/env/A')).toBe('given')
  expect(await executed('side', 'ls /run/caisson/env')).toBe('')

  // It runs on as it was; its next run is a start like any other.
  await executed('main', 'touch /tmp/stop')
  await node.until('web', ({ status }) =>
    status?.containerStatuses?.some(
      ({ name, restartCount, state }) => name === 'main' && restartCount === 1 && state?.running,
    ),
  )
  await expect.poll(() => executed('main', 'cat /proc/1/environ | tr "\\0" "\\n" | grep ^A=')).toBe('A=given\n')
  expect(node.errors).toEqual([])
  await node.client.delete(resources.pods, 'web', { ...at, gracePeriodSeconds: 1 })
  await node.gone('web')
})
