/** For tests: an API server of its own, an administrator's client, and the control plane's with its informers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { UserInfo } from '@caisson/api'
import {
  type Client,
  createClient,
  createInformers,
  type Informers,
  type InProcessServer,
  inProcessTransport,
  resources,
} from '@caisson/client'

/** What is used of @caisson/apiserver, which only test files may import: they hand it in. */
export interface EmbeddedServer {
  startApiServer(options: {
    directory: string
    certificates: string
    host: string
    port: number
  }): Promise<AsyncDisposable & { server: { connect(user: UserInfo): InProcessServer } }>
  componentUsers: { controlPlane: UserInfo }
}

export interface TestServer extends AsyncDisposable {
  /** Of an administrator. */
  client: Client
  /** Of the control plane. */
  own: Client
  informers: Informers
  /** Aborted before the rest goes. */
  signal: AbortSignal
}

const ADMINISTRATOR: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }
export const NAMESPACE = 'default'

export async function startTestServer({ startApiServer, componentUsers }: EmbeddedServer): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'controlplane-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(directory, { recursive: true }))
  const state = { directory: join(directory, 'state'), certificates: join(directory, 'pki') }
  const { server } = stack.use(await startApiServer({ ...state, host: '127.0.0.1', port: 0 }))
  const client = createClient(inProcessTransport(server.connect(ADMINISTRATOR)))
  const own = createClient(inProcessTransport(server.connect(componentUsers.controlPlane)))
  const informers = stack.use(createInformers(own))
  const stop = new AbortController()
  stack.defer(() => stop.abort())
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: NAMESPACE })
  const owned = stack.move()
  return { client, own, informers, signal: stop.signal, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
