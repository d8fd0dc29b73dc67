/** A router as its clients meet it: a real API server that says which Pods there are, and real servers as sandboxes. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { LABELS, nameHash, type UserInfo } from '@caisson/api'
import { startApiServer } from '@caisson/apiserver'
import {
  type Client,
  createClient,
  createHttpTransport,
  inProcessTransport,
  type PodObject,
  resources,
} from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type Router, type RouterOptions, startRouter } from '../start-router.ts'

export type StartedRouter = Router & { url: string }

export interface PodOptions {
  ip?: string
  uid?: string
  labels?: Record<string, string>
  owner?: { apiVersion?: string; kind?: string; name?: string; controller?: boolean }
  ready?: boolean
  hostNetwork?: boolean
}

export interface RouterFixture {
  /** Of the administrator. */
  readonly client: Client
  /** The same, of a client that can upgrade connections. */
  readonly overNetwork: Client
  /** Paths of what the API server has asked the node for. */
  readonly connected: string[]
  /** Disposed of behind each test. */
  readonly stack: AsyncDisposableStack
  start(options?: Partial<RouterOptions>): Promise<StartedRouter>
  /** A Pod as the controller and the kubelet leave it. */
  pod(name: string, options?: PodOptions): Promise<PodObject>
  /** A server in the sandbox, by default at 127.0.0.1 and some port, which it gives. */
  serve(
    answer: (...asked: Parameters<RequestListener>) => unknown,
    at?: { host: string; port: number },
  ): Promise<number>
  /** A token of a user who may forward ports of the Sandbox `box`, and nothing else. */
  forwarder(name?: string): Promise<string>
  /** A token of a ServiceAccount, another one each time. */
  tokenOf(name: string): Promise<string>
}

const ADMINISTRATOR: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

/** For a test file; each test has routers and sandboxes of its own. */
export function routerFixture(): RouterFixture {
  let client: Client
  let overNetwork: Client
  let stopServer: () => Promise<void>
  let stack: AsyncDisposableStack
  const connected: string[] = []
  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'router-'))
    const running = await startApiServer({
      directory: join(directory, 'state'),
      certificates: join(directory, 'pki'),
      host: '127.0.0.1',
      port: 0,
      node: () => ({
        request: (_request, response) => void response.writeHead(404).end(),
        upgrade({ url = '' }, socket) {
          connected.push(url)
          socket.destroy()
        },
      }),
    })
    const { authority, administrator } = running.certificates
    const transport = createHttpTransport({
      server: running.url,
      namespace: 'default',
      certificateAuthority: { data: authority },
      clientCertificate: {
        certificate: { data: administrator.certificate },
        key: { data: administrator.key },
      },
    })
    overNetwork = createClient(transport)
    client = createClient(inProcessTransport(running.server.connect(ADMINISTRATOR)))
    await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: 'default' })
    stopServer = async () => {
      await transport[Symbol.asyncDispose]()
      await running[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    }
  })
  afterAll(() => stopServer())
  beforeEach(() => {
    stack = new AsyncDisposableStack()
    connected.length = 0
  })
  afterEach(() => stack.disposeAsync())

  return {
    get client() {
      return client
    },
    get overNetwork() {
      return overNetwork
    },
    get stack() {
      return stack
    },
    connected,
    async start(options = {}) {
      const router = stack.use(
        await startRouter({
          client,
          listen: { host: '127.0.0.1', port: 0 },
          listenAdmin: { host: '127.0.0.1', port: 0 },
          authz: { mode: 'allow-all' },
          allowLoopbackPodIp: true,
          runtimeApi: false,
          retries: 0,
          version: '0.0.0',
          onError: (error) => {
            throw error
          },
          ...options,
        }),
      )
      await router.ready()
      return { ...router, url: `http://127.0.0.1:${router.port}`, [Symbol.asyncDispose]: router[Symbol.asyncDispose] }
    },
    async pod(name, { ip = '127.0.0.1', uid = `uid-of-${name}`, labels, owner, ready = true, hostNetwork } = {}) {
      await client.create(
        resources.pods,
        {
          metadata: {
            name,
            labels: labels ?? { [LABELS.sandboxNameHash]: nameHash(name) },
            ownerReferences: [
              { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name, uid, controller: true, ...owner },
            ],
          },
          spec: {
            containers: [{ name: 'main', image: 'x' }],
            automountServiceAccountToken: false,
            ...(hostNetwork && { hostNetwork }),
          },
        },
        { namespace: 'default' },
      )
      stack.defer(async () => {
        await client
          .delete(resources.pods, name, { namespace: 'default', gracePeriodSeconds: 0 })
          .catch(() => undefined)
      })
      const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }]
      const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions }
      return await client.patch(resources.pods, name, { status } as never, {
        namespace: 'default',
        subresource: 'status',
      })
    },
    async serve(answer, { host, port } = { host: '127.0.0.1', port: 0 }) {
      const server = createServer((request, response) => void answer(request, response))
      server.listen(port, host)
      await once(server, 'listening')
      stack.defer(() => {
        server.closeAllConnections()
        server.close()
      })
      return (server.address() as AddressInfo).port
    },
    async forwarder(name = 'forwarder') {
      const at = { namespace: 'default' }
      const metadata = { name }
      const rule = { apiGroups: [''], resources: ['pods/portforward'], resourceNames: ['box'], verbs: ['create'] }
      const binding = {
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
        subjects: [{ kind: 'ServiceAccount', name, ...at }],
      }
      await client.create(resources.serviceAccounts, { metadata }, at)
      stack.defer(() => client.delete(resources.serviceAccounts, name, at).then(() => undefined))
      await client.create(resources.roles, { metadata, rules: [rule] }, at)
      stack.defer(() => client.delete(resources.roles, name, at).then(() => undefined))
      await client.create(resources.roleBindings, binding, at)
      stack.defer(() => client.delete(resources.roleBindings, name, at).then(() => undefined))
      return await tokenOf(name)
    },
    tokenOf,
  }

  async function tokenOf(name: string): Promise<string> {
    const { body } = await client.transport.request({
      method: 'POST',
      path: `/api/v1/namespaces/default/serviceaccounts/${name}/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    } as never)
    return (body as { status: { token: string } }).status.token
  }
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

export interface Asked {
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string | Buffer
  /** Address of this machine that the connection comes from. */
  from?: string
}

export async function ask(
  url: string,
  { method = 'GET', path = '/', headers = {}, body, from: localAddress }: Asked = {},
): Promise<Answer> {
  const request = httpRequest(`${url}/`, { method, path, headers, agent: false, ...(localAddress && { localAddress }) })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }
}
