/** Everything of an embedded API server, as `caisson up` starts it, on a real socket and a real disk. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningApiServer, type StartApiServerOptions, startApiServer } from '../start-api-server.ts'
import { type HttpResponse, type RequestOptions, send } from './running-server.ts'

/** Of the user `tenant`, who may do nothing but what a test allows. */
export const TENANT_TOKEN = 'tenant-token'

export interface WholeServer extends RunningApiServer {
  /** Of the administrator. */
  agent: Agent
  directory: string
  /** What the server could tell nobody about. */
  reported: unknown[]
  /** As the administrator; anonymously with a token of its own in `headers`. */
  request(method: string, path: string, options?: RequestOptions): Promise<HttpResponse>
}

export async function startWholeServer(
  options: Partial<StartApiServerOptions> = {},
  directory = mkdtempSync(join(tmpdir(), 'whole-')),
): Promise<WholeServer> {
  const reported: unknown[] = []
  const running = await startApiServer({
    directory: join(directory, 'state'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
    tokens: [{ token: TENANT_TOKEN, user: { username: 'tenant', groups: [] } }],
    report: (error) => reported.push(error),
    ...options,
  })
  const { certificate: cert, key } = running.certificates.administrator
  const agent = new Agent({ keepAlive: true, ca: running.certificates.authority, cert, key })
  const anonymousAgent = new Agent({ ca: running.certificates.authority })
  return {
    ...running,
    agent,
    directory,
    reported,
    request: (method, path, { anonymous = false, ...rest } = {}) =>
      send(`${running.url}${path}`, { method, agent: anonymous ? anonymousAgent : agent, ...rest }),
    async [Symbol.asyncDispose]() {
      agent.destroy()
      anonymousAgent.destroy()
      await running[Symbol.asyncDispose]()
    },
  }
}

/** The same, and its directory goes with it. */
export async function startTemporaryServer(options: Partial<StartApiServerOptions> = {}): Promise<WholeServer> {
  const server = await startWholeServer(options)
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      rmSync(server.directory, { recursive: true })
    },
  }
}
