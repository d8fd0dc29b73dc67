/**
 * Kubernetes' channel protocols: each WebSocket message belongs to the channel that its first byte numbers. In the
 * base64 variants that byte is a digit and the rest is base64 text. v5 adds a message that closes one channel.
 */
import { Readable, type Writable } from 'node:stream'
import { writeChannels } from '@caisson/client'
import type { WebSocket } from 'ws'
import { IDLE_TIMEOUT_MS } from './idle-timeout.ts'

/** First byte of v5's message that says `the channel in the second byte is at its end`. */
const CLOSE_CHANNEL = 255
/** Bytes that may wait in one channel before the socket is no longer read. */
const CHANNEL_BUFFER = 256 * 1024
/**
 * While the socket is not read, a client that vanishes is noticed only by writing to it: the first ping makes its kernel
 * answer that nobody is there, the second one fails.
 */
const PING_INTERVAL_MS = 2_000
const NORMAL_CLOSURE = 1000

export type ChannelEncoding = 'binary' | 'base64'

export interface ChannelOptions {
  encoding: ChannelEncoding
  /** v5: the client may close a channel. */
  closeSignal: boolean
  /** Channels that the client writes to. Messages for any other channel are dropped. */
  inputs: readonly number[]
}

export interface WebSocketChannels {
  /** What the client sends on one of `inputs`. */
  input(channel: number): Readable
  /** Ending it sends nothing: the channel protocols know no end of output but the connection's. */
  output(channel: number): Writable
  /** Aborted when the connection is gone, whoever ended it. */
  gone: AbortSignal
  /** A message without content: how a server says that it is there. */
  greet(channel: number): void
  /** Closes in an orderly way after everything that was written. */
  close(): void
}

export function openChannels(socket: WebSocket, options: ChannelOptions): WebSocketChannels {
  const inputs = new Map<number, Readable>()
  const gone = new AbortController()
  const waiting = new Set<number>()
  const ended = new Set<number>()
  const idle = setTimeout(() => socket.terminate(), IDLE_TIMEOUT_MS)
  const writer = writeChannels(socket, { encoding: options.encoding, onSend: () => idle.refresh() })
  let pings: NodeJS.Timeout | undefined

  for (const channel of options.inputs) {
    const input = new Readable({
      read() {
        taken(channel)
      },
      destroy(error, callback) {
        taken(channel)
        callback(error)
      },
    })
    input.on('error', () => {})
    inputs.set(channel, input)
  }

  socket.on('message', (message: Buffer) => {
    idle.refresh()
    const first = message[0]
    if (first === undefined) return
    if (options.closeSignal && first === CLOSE_CHANNEL) {
      const closed = message.length === 2 ? message[1] : undefined
      // Anything else is a client that does not speak v5 after all.
      if (closed === undefined) socket.close(1002, 'a close message names one channel')
      else end(closed)
      return
    }
    const channel = options.encoding === 'base64' ? first - 0x30 : first
    const input = inputs.get(channel)
    if (!input || input.destroyed || input.readableEnded || ended.has(channel)) return
    const data = options.encoding === 'base64' ? decodeBase64(message.subarray(1)) : message.subarray(1)
    if (!data || data.length === 0) return
    input.push(data)
    if (input.readableLength > CHANNEL_BUFFER) wait(channel)
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    clearTimeout(idle)
    clearInterval(pings)
    for (const channel of inputs.keys()) end(channel)
    gone.abort(new Error('the client closed the connection'))
  })

  function wait(channel: number): void {
    waiting.add(channel)
    socket.pause()
    pings ??= setInterval(() => socket.ping(), PING_INTERVAL_MS)
  }

  function taken(channel: number): void {
    if (waiting.delete(channel) && waiting.size === 0) goOn()
  }

  function goOn(): void {
    waiting.clear()
    clearInterval(pings)
    pings = undefined
    socket.resume()
  }

  function end(channel: number): void {
    if (ended.has(channel)) return
    ended.add(channel)
    inputs.get(channel)?.push(null)
  }

  function input(channel: number): Readable {
    const readable = inputs.get(channel)
    if (!readable) throw new Error(`channel ${channel} is not one that the client writes to`)
    return readable
  }

  return {
    input,
    output: (channel) => writer.output(channel),
    gone: gone.signal,
    greet: (channel) => void writer.send(channel, Buffer.alloc(0)),
    close: () => {
      // A socket that is not read would never see the client's own close.
      goOn()
      socket.close(NORMAL_CLOSURE)
    },
  }
}

/** Undefined where the text is not padded base64, which Kubernetes drops too. */
function decodeBase64(text: Buffer): Buffer | undefined {
  const latin = text.toString('latin1')
  if (latin.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(latin)) return undefined
  return Buffer.from(latin, 'base64')
}
