/** Answers the queries of sandboxes, by UDP and TCP, on the gateway address: nobody else can reach it there. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { createRateLimit } from '../rate-limit.ts'
import { createShares } from '../shares.ts'

export interface DnsServerOptions {
  host: string
  /** 53 but in tests; another one is taken where it is in use. */
  port: number
  /** The answer to a query; undefined for none. */
  resolve(query: Buffer, from: { ip: string; tcp: boolean; signal: AbortSignal }): Promise<Buffer | undefined>
  /** Of the Pod with this address; its Pods share what there is of answers and connections. */
  namespaceOf(ip: string): string
  onError(error: unknown, where: string): void
  now?: () => number
  /** How long a client by TCP has for a query, ms; 10 s. */
  queryMs?: number
}

export interface DnsServer extends AsyncDisposable {
  udpPort: number
  tcpPort: number
}

/**
 * Answers to one sandbox, and to all of one namespace: so many a second, and so many at once. What is over it gets none, as
 * on a network that loses packets. A large one by TCP counts for as many as the packets that it takes.
 */
const RATE = { perSecond: 50, burst: 200 }
const NAMESPACE_RATE = { perSecond: 1_000, burst: 2_000 }
const PACKET_BYTES = 1_232
const CONNECTIONS = { all: 512, each: 8 }
/** Until a client has sent a whole query, or taken the answer to the one before. */
const QUERY_MS = 10_000
const LARGEST_TCP_QUERY = 512

export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { host, namespaceOf, onError, now = Date.now, queryMs = QUERY_MS } = options
  const stop = new AbortController()
  const { signal } = stop
  const limit = createRateLimit({ ...RATE, now })
  const namespaceLimit = createRateLimit({ ...NAMESPACE_RATE, now })

  async function answer(query: Buffer, ip: string, tcp: boolean): Promise<Buffer | undefined> {
    const namespace = namespaceOf(ip)
    if (!limit.take(ip) || !namespaceLimit.take(namespace)) return undefined
    try {
      const reply = await options.resolve(query, { ip, tcp, signal })
      const more = Math.floor((reply?.length ?? 0) / PACKET_BYTES)
      if (more > 0) {
        limit.charge(ip, more)
        namespaceLimit.charge(namespace, more)
      }
      return reply
    } catch (error) {
      if (!signal.aborted) onError(error, `a query of ${ip}`)
      return undefined
    }
  }

  const udp = await listenUdp(options, (message, from, socket) => {
    // Nothing can be sent there, and Node throws for it (RFC 768: who wants no answer has no port).
    if (from.port === 0) return
    void (async () => {
      const reply = await answer(message, from.address, false)
      if (reply && !signal.aborted) socket.send(reply, from.port, from.address)
    })().catch((error: unknown) => onError(error, `an answer to ${from.address}`))
  })
  udp.on('error', (error) => onError(error, 'names'))

  const connections = createShares({ ...CONNECTIONS, groupOf: namespaceOf })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const ip = socket.remoteAddress ?? ''
    const giveBack = connections.take(ip)
    if (!giveBack) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.on('close', () => {
      sockets.delete(socket)
      giveBack()
    })
    socket.on('error', () => socket.destroy())
    void serve(socket, { queryMs, answer: (query) => answer(query, ip, true) })
  })
  const tcpPort = await listenTcp(server, options).catch((error: unknown) => {
    udp.close()
    throw error
  })

  return {
    udpPort: udp.address().port,
    tcpPort,
    async [Symbol.asyncDispose]() {
      stop.abort()
      udp.close()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  async function listenTcp(listening: Server, { port }: DnsServerOptions): Promise<number> {
    try {
      return await listen(listening, host, port)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      return await listen(listening, host, 0)
    }
  }
}

/** One query after the other: a client that sends many waits for each. */
async function serve(
  socket: Socket,
  { queryMs, answer }: { queryMs: number; answer(query: Buffer): Promise<Buffer | undefined> },
): Promise<void> {
  // Not from byte to byte: one that sends a byte now and then would keep its place for ever.
  const deadline = setTimeout(() => socket.destroy(), queryMs)
  let received: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer])
      while (received.length >= 2) {
        const end = 2 + received.readUInt16BE(0)
        if (end - 2 > LARGEST_TCP_QUERY) throw new Error('a query is longer than any is')
        if (received.length < end) break
        const reply = await answer(received.subarray(2, end))
        received = received.subarray(end)
        if (!reply) throw new Error('no answer')
        const length = Buffer.alloc(2)
        length.writeUInt16BE(reply.length)
        // One that takes no answers asks nothing more.
        if (!socket.write(Buffer.concat([length, reply]))) await drained(socket)
        deadline.refresh()
      }
    }
  } catch {
    socket.destroy()
  } finally {
    clearTimeout(deadline)
  }
}

function drained(socket: Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const closed = (): void => reject(new Error('the connection is closed'))
  socket.once('close', closed).once('drain', () => {
    socket.off('close', closed)
    resolve()
  })
  return promise
}

function listen(server: Server, host: string, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.once('error', reject)
  server.listen({ host, port }, () => {
    server.off('error', reject)
    const address = server.address()
    resolve(typeof address === 'object' && address ? address.port : 0)
  })
  return promise
}

type OnMessage = (message: Buffer, from: { address: string; port: number }, socket: UdpSocket) => void

async function listenUdp({ host, port }: DnsServerOptions, onMessage: OnMessage): Promise<UdpSocket> {
  try {
    return await bind(host, port, onMessage)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    return await bind(host, 0, onMessage)
  }
}

function bind(host: string, port: number, onMessage: OnMessage): Promise<UdpSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<UdpSocket>()
  const socket = createSocket('udp4')
  socket.once('error', (error) => {
    socket.close()
    reject(error)
  })
  socket.on('message', (message, from) => onMessage(message, from, socket))
  socket.bind(port, host, () => {
    socket.removeAllListeners('error')
    resolve(socket)
  })
  return promise
}
