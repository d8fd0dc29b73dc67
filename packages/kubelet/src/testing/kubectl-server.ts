/**
 * For tests of streaming: as much of an API server as `kubectl exec`, `attach`, `logs` and `port-forward` need around a
 * node's own API: one running Pod, and its subresources handed to the node as kube-apiserver hands them to a kubelet.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { NodeApi } from '../streaming/node-api.ts'

export interface KubectlServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  url: string
  port: number
  /** Requests that were upgraded, as `PROTOCOL PATH`. */
  upgrades: string[]
}

const POD_PATH = '/api/v1/namespaces/default/pods/web'
const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['exec', '/exec/default/web/main'],
  ['attach', '/attach/default/web/main'],
  ['log', '/containerLogs/default/web/main'],
  ['portforward', '/portForward/default/web'],
])

const POD = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'web', namespace: 'default', uid: '11111111-2222-3333-4444-555555555555' },
  spec: { nodeName: 'node', containers: [{ name: 'main', image: 'busybox', stdin: true }] },
  status: { phase: 'Running', containerStatuses: [{ name: 'main', ready: true, state: { running: {} } }] },
}

/** `/api/v1/namespaces/default/pods/web/exec?command=ls` becomes `/exec/default/web/main?command=ls`. */
function toNode(request: IncomingMessage): boolean {
  const [path = '', query = ''] = (request.url ?? '').split('?')
  if (!path.startsWith(`${POD_PATH}/`)) return path.slice(1) in {} || [...ACTIONS.values()].includes(path)
  const target = ACTIONS.get(path.slice(POD_PATH.length + 1))
  if (target === undefined) return false
  request.url = `${target}?${query}`
  return true
}

const DISCOVERY: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['/version', { major: '1', minor: '32', gitVersion: 'v1.32.0' }],
  [POD_PATH, POD],
  ['/api', { kind: 'APIVersions', versions: ['v1'] }],
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: [] }],
  [
    '/api/v1',
    {
      kind: 'APIResourceList',
      groupVersion: 'v1',
      resources: [
        { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'], shortNames: ['po'] },
      ],
    },
  ],
])

export async function startKubectlServer(node: NodeApi): Promise<KubectlServer> {
  const upgrades: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const found = DISCOVERY.get(path)
    if (found) {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(found))
    } else if (toNode(request)) {
      node.request(request, response)
    } else {
      response.writeHead(404).end()
    }
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request, socket, head) => {
    toNode(request)
    upgrades.push(
      `${request.headers['sec-websocket-protocol'] ?? request.headers.upgrade} ${request.url?.split('?')[0]}`,
    )
    node.upgrade(request, socket, head)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    upgrades,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
