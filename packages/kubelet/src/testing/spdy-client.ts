/** For tests of streaming: the client's side of a SPDY/3.1 connection, with real compression of its headers. */
import { once } from 'node:events'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { constants, createDeflate } from 'node:zlib'
import {
  createFrameParser,
  dataFrameHeader,
  type Frame,
  pingFrame,
  RST_STATUS,
  rstStreamFrame,
  synStreamFrame,
  windowUpdateFrame,
} from '../streaming/spdy/frame.ts'
import { HEADER_DICTIONARY } from '../streaming/spdy/header-dictionary.ts'

export interface SpdyClient extends AsyncDisposable {
  socket: Duplex
  /** The protocol that was negotiated. */
  protocol: string | undefined
  /** Opens a stream and waits until the server has accepted or refused it. */
  open(headers: Record<string, string>): Promise<ClientStream>
  send(frame: Buffer): void
  ping(id: number): Promise<void>
  updateWindow(streamId: number, delta: number): void
  /** Settles when the server has closed the connection. */
  closed: Promise<void>
  /** Frames other than data, in order, as the server sent them. */
  frames: Frame[]
}

export interface ClientStream {
  id: number
  write(data: string | Buffer): void
  end(): void
  reset(): void
  /** What has arrived so far. */
  received(): string
  receivedBytes(): number
  /** All that came until the server ended or reset the stream. */
  text(): Promise<string>
  /** Settles with how the stream was answered. */
  accepted: Promise<boolean>
  /** Calls back on each arrival. */
  onData(listener: () => void): void
}

export interface ConnectOptions {
  port: number
  path: string
  protocols: readonly string[]
}

/** Upgrades. Throws an Error with status and body where the server refuses. */
export async function connectSpdy(options: ConnectOptions): Promise<SpdyClient> {
  const { port, path, protocols } = options
  const upgrade = request({
    host: '127.0.0.1',
    port,
    path,
    method: 'POST',
    headers: { Connection: 'Upgrade', Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': [...protocols] },
  })
  upgrade.end()
  const { promise, resolve, reject } = Promise.withResolvers<SpdyClient>()
  upgrade.on('error', reject)
  upgrade.on('response', (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => reject(new Error(`${response.statusCode} ${Buffer.concat(chunks).toString()}`)))
  })
  upgrade.on('upgrade', (response, socket, head) => {
    if (head.length > 0) socket.unshift(head)
    resolve(overDuplex(socket, response.headers['x-stream-protocol-version'] as string | undefined))
  })
  return await promise
}

export function overDuplex(socket: Duplex, protocol?: string): SpdyClient {
  const deflate = createDeflate({ dictionary: HEADER_DICTIONARY, flush: constants.Z_SYNC_FLUSH })
  const parser = createFrameParser()
  const streams = new Map<number, { stream: ClientStream; frame(frame: Frame): void; over(): void }>()
  const pings = new Map<number, () => void>()
  const frames: Frame[] = []
  let nextId = 1
  let opening = Promise.resolve<unknown>(undefined)
  const closed = closing()
  async function closing(): Promise<void> {
    await once(socket, 'close')
    for (const { over } of streams.values()) over()
  }
  socket.on('error', () => {})
  socket.on('end', () => socket.end())
  socket.on('data', (chunk: Buffer) => {
    for (const frame of parser.parse(chunk)) {
      if (frame.type !== 'data') frames.push(frame)
      if (frame.type === 'ping' && frame.id % 2 === 0) socket.write(pingFrame(frame.id))
      if (frame.type === 'ping') pings.get(frame.id)?.()
      if ('streamId' in frame) streams.get(frame.streamId)?.frame(frame)
    }
  })

  async function compress(headers: Record<string, string>): Promise<Buffer> {
    const parts: Buffer[] = []
    const word = (value: number) => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value)
      return bytes
    }
    parts.push(word(Object.keys(headers).length))
    for (const [name, value] of Object.entries(headers)) {
      parts.push(word(name.length), Buffer.from(name), word(value.length), Buffer.from(value))
    }
    const compressed: Buffer[] = []
    const collect = (chunk: Buffer) => compressed.push(chunk)
    deflate.on('data', collect)
    await new Promise<void>((resolve) => deflate.write(Buffer.concat(parts), () => resolve()))
    deflate.off('data', collect)
    return Buffer.concat(compressed)
  }

  async function open(headers: Record<string, string>): Promise<ClientStream> {
    // Blocks must be compressed in the order in which they are sent.
    const turn = opening.then(async () => {
      const id = nextId
      nextId += 2
      const block = await compress(headers)
      const stream = createStream(id)
      socket.write(synStreamFrame(id, block))
      return stream
    })
    opening = turn
    const stream = await turn
    await stream.accepted
    return stream
  }

  function createStream(id: number): ClientStream {
    const chunks: Buffer[] = []
    const listeners: Array<() => void> = []
    const done = Promise.withResolvers<void>()
    const accepted = Promise.withResolvers<boolean>()
    const stream: ClientStream = {
      id,
      accepted: accepted.promise,
      write(data) {
        const bytes = Buffer.from(data)
        socket.write(Buffer.concat([dataFrameHeader(id, bytes.length, false), bytes]))
      },
      end: () => void socket.write(dataFrameHeader(id, 0, true)),
      reset: () => void socket.write(rstStreamFrame(id, RST_STATUS.cancel)),
      received: () => Buffer.concat(chunks).toString(),
      receivedBytes: () => chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      onData: (listener) => void listeners.push(listener),
      async text() {
        await done.promise
        return Buffer.concat(chunks).toString()
      },
    }
    streams.set(id, {
      stream,
      over: () => {
        done.resolve()
        accepted.resolve(false)
      },
      frame(frame) {
        if (frame.type === 'syn-reply') accepted.resolve(true)
        if (frame.type === 'rst-stream') accepted.resolve(false)
        if (frame.type === 'data') chunks.push(Buffer.from(frame.data))
        if (frame.type === 'rst-stream' || ('fin' in frame && frame.fin)) done.resolve()
        for (const listener of listeners) listener()
      },
    })
    return stream
  }

  return {
    socket,
    protocol,
    open,
    frames,
    closed,
    send: (frame) => void socket.write(frame),
    updateWindow: (streamId, delta) => void socket.write(windowUpdateFrame(streamId, delta)),
    async ping(id) {
      await new Promise<void>((resolve) => {
        pings.set(id, resolve)
        socket.write(pingFrame(id))
      })
    },
    async [Symbol.asyncDispose]() {
      deflate.destroy()
      socket.destroy()
      await closed
    },
  }
}
