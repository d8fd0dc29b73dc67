/** A real server on a real socket and a real disk, for tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { type Agent, Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import type { UserInfo } from '@caisson/api'
import { createAuthenticator } from '../authn/authenticate.ts'
import { type Certificates, ensureCertificates } from '../authn/certificates.ts'
import { peerCertificateOf } from '../authn/client-certificate.ts'
import { configMapStrategy } from '../registry/builtin/config-map.ts'
import { namespaceStrategy } from '../registry/builtin/namespace.ts'
import type { Resource, Verb } from '../registry/resource.ts'
import { builtinSchema } from '../schema/builtin.ts'
import { decodeNative } from '../schema/native.ts'
import { type ApiServer, type ApiServerOptions, createApiServer } from '../server.ts'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'

export const ADMINISTRATOR: UserInfo = {
  username: 'kubernetes-admin',
  groups: ['system:masters', 'system:authenticated'],
}

export interface RunningServer extends AsyncDisposable {
  server: ApiServer
  store: Store
  url: string
  certificates: Certificates
  /** Keeps connections alive, as clients do. */
  agent: Agent
  directory: string
  request(method: string, path: string, options?: RequestOptions): Promise<HttpResponse>
}

export interface RequestOptions {
  body?: unknown
  headers?: Record<string, string>
  /** Without a client certificate. */
  anonymous?: boolean
}

export interface HttpResponse {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  // oxlint-disable-next-line no-explicit-any -- tests look at answers of every shape
  body: any
}

export async function startServer(options: Partial<ApiServerOptions> = {}): Promise<RunningServer> {
  const directory = mkdtempSync(join(tmpdir(), 'apiserver-'))
  const certificates = await ensureCertificates(join(directory, 'pki'), { hosts: ['127.0.0.1'], now: Date.now })
  const store = options.store ?? openStore({ directory: join(directory, 'state') })
  const authenticator = createAuthenticator({ now: Date.now })
  const server = createApiServer({
    store,
    resources: RESOURCES,
    authenticate: (request) =>
      authenticator.authenticate({
        headers: request.headersDistinct,
        peerCertificate: peerCertificateOf(request.socket as TLSSocket),
      }),
    authorize: () => ({ allowed: true, reason: '' }),
    ...options,
  })
  const { url } = await server.listen({
    host: '127.0.0.1',
    port: 0,
    tls: { key: certificates.server.key, cert: certificates.server.certificate, ca: certificates.authority },
  })
  const { certificate: cert, key } = certificates.administrator
  const agent = new HttpsAgent({ keepAlive: true, ca: certificates.authority, cert, key })
  const anonymousAgent = new HttpsAgent({ ca: certificates.authority })
  return {
    server,
    store,
    url,
    certificates,
    agent,
    directory,
    request: (method, path, { anonymous = false, ...rest } = {}) =>
      send(`${url}${path}`, { method, agent: anonymous ? anonymousAgent : agent, ...rest }),
    async [Symbol.asyncDispose]() {
      agent.destroy()
      anonymousAgent.destroy()
      await server[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true })
    },
  }
}

export function send(url: string, options: RequestOptions & { method: string; agent: Agent }): Promise<HttpResponse> {
  const { method, agent, body, headers = {} } = options
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      url,
      {
        method,
        agent,
        headers: {
          ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          ...headers,
        },
      },
      (response) => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          received += chunk
        })
        response.on('error', reject)
        response.on('end', () => {
          const isJson = response.headers['content-type']?.startsWith('application/json')
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: received,
            body: isJson ? JSON.parse(received) : undefined,
          })
        })
      },
    )
    request.on('error', reject)
    request.end(text)
  })
}

const VERBS: readonly Verb[] = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']

const SHARED = {
  group: '',
  version: 'v1',
  categories: [],
  storageVersion: 'v1',
  columns: [],
  selectableFields: {},
  structural: true,
  verbs: VERBS,
} as const

const CONFIG_MAPS: Resource = {
  ...SHARED,
  kind: 'ConfigMap',
  listKind: 'ConfigMapList',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  schema: builtinSchema('io.k8s.api.core.v1.ConfigMap'),
  decode: (value) => decodeNative('io.k8s.api.core.v1.ConfigMap', value),
  strategy: configMapStrategy,
  status: false,
}

const NAMESPACES: Resource = {
  ...SHARED,
  verbs: VERBS.slice(0, -1),
  kind: 'Namespace',
  listKind: 'NamespaceList',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  schema: builtinSchema('io.k8s.api.core.v1.Namespace'),
  decode: (value) => decodeNative('io.k8s.api.core.v1.Namespace', value),
  strategy: namespaceStrategy,
  status: true,
}

const RESOURCES = [CONFIG_MAPS, NAMESPACES]
