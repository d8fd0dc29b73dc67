/**
 * Port forwarding. Over SPDY, directly or tunnelled in a WebSocket, each forwarded connection is a pair of streams, data
 * and error, that share a request id; over the older WebSocket protocol the ports are fixed by the request, two channels
 * each.
 */
import type { Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createWebSocketStream } from 'ws'
import { acceptSpdy } from './accept-spdy.ts'
import { acceptWebSocket, negotiateWebSocketProtocol } from './accept-web-socket.ts'
import { IDLE_TIMEOUT_MS, STREAM_CREATION_TIMEOUT_MS } from './idle-timeout.ts'
import { serveSpdy } from './spdy/connection.ts'
import { SpdyError } from './spdy/spdy-error.ts'
import { isSpdyUpgrade, refuseUpgrade, type UpgradeRequest } from './upgrade.ts'
import { type ChannelEncoding, openChannels } from './web-socket-channels.ts'

const PORT_FORWARD = 'portforward.k8s.io'
const TUNNEL = `SPDY/3.1+${PORT_FORWARD}`
const CHANNELS: ReadonlyMap<string, ChannelEncoding> = new Map([
  ['', 'binary'],
  ['v4.channel.k8s.io', 'binary'],
  ['v4.base64.channel.k8s.io', 'base64'],
])
/** A browser opens six at a time, a load generator some hundreds: two streams each. */
const MAX_STREAMS = 2048
/** Channel numbers are one byte, and a port takes two channels. */
const MAX_CHANNEL_PORTS = 64

export interface PortForwardTarget {
  /** As messages name the Pod. */
  description: string
  connect(port: number, signal: AbortSignal): Promise<Duplex>
}

export async function servePortForward(
  client: UpgradeRequest,
  { ports, target }: { ports: readonly string[]; target: PortForwardTarget },
): Promise<void> {
  const { request, socket } = client
  if (isSpdyUpgrade(request)) {
    if (acceptSpdy(client, [PORT_FORWARD])) await forwardStreams(socket, target)
    return
  }
  const protocol = negotiateWebSocketProtocol(request, new Set([TUNNEL, ...CHANNELS.keys()]))
  if (protocol === undefined) {
    const names = [TUNNEL, ...CHANNELS.keys()].filter((name) => name !== '').join(', ')
    return refuseUpgrade(socket, 403, `none of the requested WebSocket protocols is supported, which are: ${names}`)
  }
  if (protocol === TUNNEL) {
    const connection = await acceptWebSocket(client, protocol)
    if (connection) await forwardStreams(createWebSocketStream(connection), target)
    return
  }
  const parsed = parsePorts(ports)
  if (typeof parsed === 'string') return refuseUpgrade(socket, 400, parsed)
  const connection = await acceptWebSocket(client, protocol)
  if (!connection) return
  const channels = openChannels(connection, {
    encoding: CHANNELS.get(protocol) ?? 'binary',
    closeSignal: false,
    inputs: parsed.map((_, index) => index * 2),
  })
  await Promise.all(
    parsed.map((port, index) => {
      const input = channels.input(index * 2)
      const output = channels.output(index * 2)
      const error = channels.output(index * 2 + 1)
      // Each channel begins with its port, so that a client can tell them apart.
      const announcement = Buffer.alloc(2)
      announcement.writeUInt16LE(port)
      output.write(announcement)
      error.write(announcement)
      return forward({ port, input, output, error, target, gone: channels.gone })
    }),
  )
  channels.close()
}

/** The ports of a WebSocket request, or what is wrong with them. */
function parsePorts(values: readonly string[]): number[] | string {
  if (values.length === 0) return 'query parameter "port" is required'
  const ports = values.flatMap((value) => value.split(',')).map(parsePort)
  const valid = ports.filter((port) => port !== undefined)
  if (valid.length !== ports.length) return `unable to parse ${JSON.stringify(values.join(','))} as a port`
  if (valid.length > MAX_CHANNEL_PORTS) return `at most ${MAX_CHANNEL_PORTS} ports can be forwarded by one request`
  return valid
}

function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port >= 1 && port <= 65_535 ? port : undefined
}

interface Pair {
  port: number
  data: Duplex | undefined
  error: Duplex | undefined
  expiry: NodeJS.Timeout
}

async function forwardStreams(transport: Duplex, target: PortForwardTarget): Promise<void> {
  const pairs = new Map<string, Pair>()
  const gone = new AbortController()
  const connection = serveSpdy(transport, {
    maxStreams: MAX_STREAMS,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    onStream({ id, headers, duplex }) {
      const type = headers.get('streamtype')?.[0]
      const port = parsePort(headers.get('port')?.[0] ?? '')
      if (type !== 'data' && type !== 'error') throw new SpdyError('protocol', 'the streamType is not data or error')
      if (port === undefined) throw new SpdyError('protocol', 'the port is not a number from 1 to 65535')
      // Clients from before request ids open the error stream first and the data stream right after it.
      const requestId = headers.get('requestid')?.[0] || String(type === 'error' ? id : id - 2)
      const pair = pairs.get(requestId) ?? begin(requestId, port)
      if (pair[type])
        throw new SpdyError('protocol', `request ${JSON.stringify(requestId)} has a ${type} stream already`)
      pair[type] = duplex
      if (type === 'error') duplex.resume()
      const { data, error } = pair
      if (!data || !error) return
      clearTimeout(pair.expiry)
      pairs.delete(requestId)
      void forward({ port: pair.port, input: data, output: data, error, target, gone: gone.signal })
    },
  })

  function begin(requestId: string, port: number): Pair {
    const expiry = setTimeout(() => {
      pairs.delete(requestId)
      pair.data?.destroy()
      pair.error?.end(`request ${JSON.stringify(requestId)}: timed out waiting for streams`)
    }, STREAM_CREATION_TIMEOUT_MS)
    const pair: Pair = { port, data: undefined, error: undefined, expiry }
    pairs.set(requestId, pair)
    return pair
  }

  const error = await connection.closed
  gone.abort(error ?? new Error('the client closed the connection'))
  for (const pair of pairs.values()) clearTimeout(pair.expiry)
}

/** One forwarded connection: both directions until the container's end has closed, or one breaks. Never rejects. */
async function forward(options: {
  port: number
  /** From the client. */
  input: Readable
  /** To the client; may be the same stream as `input`. */
  output: Writable
  error: Writable
  target: PortForwardTarget
  gone: AbortSignal
}): Promise<void> {
  const { port, input, output, error, target, gone } = options
  input.on('error', () => {})
  const describe = (reason: Error): string =>
    `error forwarding port ${port} to pod ${target.description}: ${reason.message}`
  let container: Duplex
  try {
    container = await target.connect(port, gone)
  } catch (reason) {
    error.end(describe(reason as Error))
    input.destroy()
    output.destroy()
    return
  }
  let answered = false
  container.once('data', () => {
    answered = true
  })
  // That the client resets its stream, or a server its connection after an answer, is how connections end and no news.
  // What is one is said before the output is given up, with which a WebSocket ends.
  container.on('error', (reason) => {
    if (!answered && !input.errored && !output.destroyed) error.end(describe(reason))
  })
  // The client may end its side long before the server does, but nothing follows once the server has ended its own.
  const upload = pipeline(input, container).catch(() => {})
  await pipeline(container, output).catch(() => {})
  container.destroy()
  input.destroy()
  await upload
  error.end()
}
