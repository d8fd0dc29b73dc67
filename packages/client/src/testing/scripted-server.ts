/** An HTTPS server on loopback that does whatever a test tells it to, correct or not. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { ClusterConnection } from '../cluster-connection.ts'
import type { IssuedCertificate, TestAuthority } from './test-certificates.ts'

export interface ScriptedRequest {
  method: string
  /** Path and query as they were on the wire. */
  url: string
  headers: IncomingMessage['headers']
  body: string
  socket: TLSSocket
}

export type Script = (request: ScriptedRequest, response: ServerResponse) => void | Promise<void>

export interface ScriptedServer extends AsyncDisposable {
  url: string
  port: number
  /** All requests until now, in the order of their arrival. */
  requests: ScriptedRequest[]
  /** TLS connections until now. */
  connections: TLSSocket[]
  /** How to reach it without credentials. */
  connection: ClusterConnection
  /** What answers from now on. */
  script: Script
  /** What takes requests to upgrade. */
  upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
}

export interface ScriptedServerOptions {
  authority: TestAuthority
  certificate: IssuedCertificate
  script: Script
}

export async function startScriptedServer(options: ScriptedServerOptions): Promise<ScriptedServer> {
  const { authority, certificate } = options
  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const request: ScriptedRequest = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString('utf8'),
      socket: incoming.socket as TLSSocket,
    }
    server.requests.push(request)
    await server.script(request, response)
  }
  const http = createServer((incoming, response) => void serve(incoming, response))
  http.on('upgrade', (request, socket, head) => server.upgrade(request, socket, head))
  // The TLS server is its own, so that a script gets at the very bytes.
  const tls = createTlsServer(
    {
      cert: certificate.certificate,
      key: certificate.key,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      server.connections.push(socket)
      socket.on('error', () => {})
      // One socket serves many requests, each of which listens to it.
      socket.setMaxListeners(0)
      http.emit('connection', socket)
    },
  )
  tls.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve))
  const { port } = tls.address() as AddressInfo
  const url = `https://127.0.0.1:${port}`
  const server: ScriptedServer = {
    url,
    port,
    requests: [],
    connections: [],
    script: options.script,
    upgrade: (_request, socket) => void socket.destroy(),
    connection: { server: url, namespace: 'default', certificateAuthority: { data: authority.certificate } },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => tls.close(() => resolve()))
      for (const socket of server.connections) socket.destroy()
      await closed
      http.close()
    },
  }
  return server
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}
