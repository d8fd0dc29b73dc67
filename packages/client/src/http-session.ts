/** The connections that stand for one set of certificates, and when they have to be built anew. */
import { stat } from 'node:fs/promises'
import { isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import type { buildConnector, Pool } from 'undici'
import type { ClusterConnection, Material } from './cluster-connection.ts'
import { type Connector, createConnector } from './connector.ts'
import { type Credential, readMaterial, singleFlight } from './credentials.ts'
import { connectThroughProxy, PROXY_PROTOCOLS } from './proxy.ts'
import { messageOf, TransportError } from './transport-error.ts'

export interface HttpSession {
  /** Requests: a bounded number of connections, and an answer in time. */
  requests: Pool
  /** Watches and streams: a connection each, for as long as they like. */
  streams: Pool
  /** Connections for these and for WebSockets. */
  connector: Connector
}

export interface HttpSessionOptions {
  connections: number
  /** Milliseconds for the head of an answer, and between two parts of it. */
  requestTimeout: number
  /** Milliseconds for the head of a watch's answer. */
  streamHeadTimeout: number
  /** Milliseconds between two looks at the certificate files. */
  certificateCheck: number
}

const CONNECT_MS = 10_000
/** Servers in Go keep an idle connection for minutes; where there is a hint in the answer it wins. */
const KEEP_ALIVE_MS = 30_000

export interface HttpSessions extends AsyncDisposable {
  /** The session for `credential`. The same one for as long as no certificate changes. */
  current(credential: Credential): Promise<HttpSession>
  /** Looks at the certificate files before the next request, because TLS just failed. */
  recheck(): void
}

export function createHttpSessions(connection: ClusterConnection, options: HttpSessionOptions): HttpSessions {
  const files = [
    connection.certificateAuthority,
    connection.clientCertificate?.certificate,
    connection.clientCertificate?.key,
  ].flatMap((material) => (material && 'file' in material ? [material.file] : []))
  let session: HttpSession | undefined
  let madeFor: Credential['certificate']
  let stamp = ''
  let checkedAt = 0
  let closed = false

  async function stampOfFiles(): Promise<string> {
    const stamps = await Promise.all(
      files.map(async (file) => {
        const found = await stat(file).catch(() => undefined)
        return found ? `${found.ino}:${found.size}:${found.mtimeMs}` : ''
      }),
    )
    return stamps.join()
  }

  let wanted: Credential = {}
  const renew = singleFlight(async () => {
    const found = await stampOfFiles()
    checkedAt = performance.now()
    const { certificate } = wanted
    // A file that is gone for the moment is being replaced: what was read from it is still good.
    if (session && certificate === madeFor && (found === stamp || found.split(',').includes(''))) return
    let fresh: HttpSession
    try {
      fresh = await openSession(connection, certificate, options)
    } catch (error) {
      // Files that do not belong together are being replaced one after the other: what is open is still good.
      if (session && certificate === madeFor) return
      throw error
    }
    if (closed) {
      destroySession(fresh)
      return
    }
    // Running requests and watches end in peace on the old connections.
    if (session) closeSession(session)
    session = fresh
    madeFor = certificate
    stamp = found
  })

  return {
    async current(credential) {
      if (closed) throw new TransportError('closed', 'the transport was closed')
      const due = files.length > 0 && performance.now() - checkedAt > options.certificateCheck
      if (!session || due || credential.certificate !== madeFor) {
        wanted = credential
        await renew()
      }
      if (!session) throw new TransportError('closed', 'the transport was closed')
      return session
    },
    recheck() {
      checkedAt = -Infinity
    },
    async [Symbol.asyncDispose]() {
      closed = true
      if (session) destroySession(session)
      session = undefined
    },
  }
}

async function openSession(
  connection: ClusterConnection,
  certificate: Credential['certificate'],
  options: HttpSessionOptions,
): Promise<HttpSession> {
  const [{ default: PoolClass }, { default: buildConnector }] = await Promise.all([
    import('undici/lib/dispatcher/pool.js'),
    import('undici/lib/core/connect.js'),
  ])
  const server = new URL(connection.server)
  const tls = await tlsOptions(connection, certificate)
  const proxy = connection.proxyUrl ? new URL(connection.proxyUrl) : undefined
  if (proxy && !PROXY_PROTOCOLS.includes(proxy.protocol)) {
    throw new TransportError('unreachable', `proxy-url has to begin with ${PROXY_PROTOCOLS.join('//, ')}//`)
  }
  const connector = createConnector(
    server,
    proxy
      ? asUndiciConnector((signal) => openThroughProxy(proxy, server, tls, signal))
      : buildConnector({ ...tls, allowH2: false, timeout: CONNECT_MS } as buildConnector.BuildOptions),
  )
  const shared = {
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: connector.connect,
  }
  return {
    requests: new PoolClass(server.origin, {
      ...shared,
      connections: options.connections,
      headersTimeout: options.requestTimeout,
      bodyTimeout: options.requestTimeout,
    }),
    streams: new PoolClass(server.origin, {
      ...shared,
      connections: null,
      headersTimeout: options.streamHeadTimeout,
      bodyTimeout: 0,
    }),
    connector,
  }
}

async function tlsOptions(
  connection: ClusterConnection,
  certificate: Credential['certificate'],
): Promise<ConnectionOptions> {
  const { certificateAuthority, clientCertificate } = connection
  const [ca, cert, key] = await Promise.all([
    certificateAuthority && readMaterial(certificateAuthority, 'certificate authority'),
    certificate?.certificate ?? optional(clientCertificate?.certificate, 'client certificate'),
    certificate?.key ?? optional(clientCertificate?.key, 'client key'),
  ])
  return {
    secureContext: secureContext({
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    }),
    ...(connection.tlsServerName && { servername: connection.tlsServerName }),
    ...(connection.insecureSkipTlsVerify && { rejectUnauthorized: false }),
  }
}

/** Read and checked once, rather than for each connection. */
function secureContext(parts: { ca?: string; cert?: string; key?: string }): SecureContext {
  try {
    return createSecureContext(parts)
  } catch (error) {
    const message = `the certificates cannot be used: ${messageOf(error)}`
    throw new TransportError('credentials', message, { cause: error })
  }
}

async function optional(material: Material | undefined, what: string): Promise<string | undefined> {
  return material && readMaterial(material, what)
}

async function openThroughProxy(proxy: URL, server: URL, tls: ConnectionOptions, signal: AbortSignal): Promise<Socket> {
  const host = server.hostname.replace(/^\[|\]$/g, '')
  const port = Number(server.port) || (server.protocol === 'https:' ? 443 : 80)
  const socket = await connectThroughProxy({ proxy, host, port, signal })
  if (server.protocol !== 'https:') return socket
  // TLS has no server names that are addresses; the certificate is compared with `host` then.
  const name = isIP(host) === 0 ? { servername: host } : {}
  const secured = connectTls({ ...name, ...tls, host, socket, ALPNProtocols: ['http/1.1'] })
  return new Promise((resolve, reject) => {
    const onAbort = () => secured.destroy(new Error('the TLS handshake took too long'))
    signal.addEventListener('abort', onAbort, { once: true })
    secured.once('error', reject).once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort)
      secured.off('error', reject)
      resolve(secured)
    })
  })
}

function asUndiciConnector(openSocket: (signal: AbortSignal) => Promise<Socket>) {
  async function deliver(callback: buildConnector.Callback): Promise<void> {
    let socket: Socket
    try {
      socket = await openSocket(AbortSignal.timeout(CONNECT_MS))
    } catch (error) {
      callback(error as Error, null)
      return
    }
    callback(null, socket)
  }
  return (_options: unknown, callback: buildConnector.Callback): void => void deliver(callback)
}

function closeSession(session: HttpSession): void {
  session.connector[Symbol.dispose]()
  void session.requests.close()
  void session.streams.close()
}

function destroySession(session: HttpSession): void {
  const reason = new TransportError('closed', 'the transport was closed')
  session.connector[Symbol.dispose]()
  void session.requests.destroy(reason)
  void session.streams.destroy(reason)
}
