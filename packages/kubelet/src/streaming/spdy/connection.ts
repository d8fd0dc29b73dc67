/**
 * The server's side of a SPDY/3.1 connection, as client-go speaks it for exec, attach and port-forward.
 *
 * What bounds memory with every peer is the socket: a stream that nobody reads stops the reading of the whole connection
 * once a fixed number of bytes wait in it.
 */
import { Duplex } from 'node:stream'
import {
  createFrameParser,
  type Frame,
  GO_AWAY_STATUS,
  goAwayFrame,
  pingFrame,
  RST_STATUS,
  type RstStatus,
  rstStreamFrame,
  synReplyFrame,
  windowUpdateFrame,
} from './frame.ts'
import { createHeaderDecoder, createHeaderEncoder, type Headers } from './header-block.ts'
import { createSender, INITIAL_WINDOW, type SendingStream } from './sender.ts'
import { SpdyError } from './spdy-error.ts'

/** Consumed bytes after which the peer is given them back; half a window keeps a sender that counts from stalling. */
const WINDOW_UPDATE_AT = INITIAL_WINDOW / 2
/** Bytes that may wait in one stream before the connection is no longer read. */
const STREAM_BUFFER = 256 * 1024
/**
 * While the connection is not read, a peer that vanishes is noticed only by writing to it: the first ping makes its
 * kernel answer that nobody is there, the second one fails.
 */
const PING_INTERVAL_MS = 2_000
/** How long a client that was told goodbye may take to read the rest and close. */
const LINGER_MS = 5_000

export interface SpdyStream {
  id: number
  headers: Headers
  /** Reads what the peer sends, writes what it gets; `end` half-closes, `destroy` resets. */
  duplex: Duplex
}

export interface SpdyConnectionOptions {
  /** Takes or, by throwing, refuses a stream that the peer opened. */
  onStream(stream: SpdyStream): void
  /** Streams that may be open at once; more are refused. */
  maxStreams: number
  /** Closes the connection after this long without a byte of data in either direction. */
  idleTimeoutMs: number
}

export interface SpdyConnection {
  /** Settles when the connection is gone, for whatever reason: with undefined where it ended in an orderly way. */
  closed: Promise<Error | undefined>
  /** Says goodbye, lets what was written go out, and closes. */
  close(): void
  /** Closes at once and resets every stream. */
  destroy(error: Error): void
}

interface OpenStream extends SpdyStream, SendingStream {
  /** Set while the reading of the connection waits for this stream to be read. */
  drained: (() => void) | undefined
  /** The peer will send no more. */
  remoteEnded: boolean
  /** Consumed bytes that the peer was not told of. */
  unacknowledged: number
}

/** Serves the connection on `transport`, whose upgrade was answered already. */
export function serveSpdy(transport: Duplex, options: SpdyConnectionOptions): SpdyConnection {
  const encodeHeaders = createHeaderEncoder()
  const decoder = createHeaderDecoder()
  const streams = new Map<number, OpenStream>()
  const { promise: closed, resolve: settleClosed } = Promise.withResolvers<Error | undefined>()
  let lastStreamId = 0
  let nextPing = 2
  let connectionUnacknowledged = 0
  let peerWentAway = false
  let closing = false
  let over = false

  const idle = setTimeout(
    () => finish(new SpdyError('idle', `nothing was sent or received for ${options.idleTimeoutMs / 1000} s`)),
    options.idleTimeoutMs,
  )
  const sender = createSender(transport, () => void idle.refresh())
  transport.on('error', (error) => finish(error))
  transport.on('close', () =>
    finish(closing ? undefined : new SpdyError('peer-gone', 'the client closed the connection')),
  )
  void serve()

  async function serve(): Promise<void> {
    try {
      await read()
      finish(undefined)
    } catch (error) {
      if (error instanceof SpdyError && !over) sender.control(goAwayFrame(lastStreamId, GO_AWAY_STATUS.protocolError))
      finish(error as Error)
    }
  }

  async function read(): Promise<void> {
    const parser = createFrameParser()
    for await (const chunk of transport.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      for (const frame of parser.parse(chunk)) {
        if (frame.type !== 'ping') idle.refresh()
        const wait = handle(frame)
        if (wait) await wait
        if (over) return
      }
      const read = sender.controlRead()
      if (read) await read
    }
  }

  function handle(frame: Frame): Promise<void> | undefined {
    switch (frame.type) {
      case 'syn-stream':
        return openStream(frame.streamId, frame.fin, frame.headerBlock)
      case 'syn-reply':
        throw new SpdyError('protocol', 'a SYN_REPLY came for a stream that was never opened')
      case 'headers':
        // Kubernetes sends none, but the block belongs to the compression's state.
        return passOver(frame.streamId, frame.fin, frame.headerBlock)
      case 'data':
        return receive(frame.streamId, frame.data, frame.fin)
      case 'rst-stream': {
        const stream = streams.get(frame.streamId)
        if (stream) {
          // Nothing is answered to a reset.
          stream.localEnded = true
          stream.remoteEnded = true
          stream.duplex.destroy(new SpdyError('reset', `the client reset the stream (status ${frame.status})`))
        }
        return undefined
      }
      case 'ping':
        // Odd ids are the client's own; an even one answers ours.
        if (frame.id % 2 === 1) sender.control(pingFrame(frame.id))
        return undefined
      case 'go-away':
        // No new streams come after it; those that are open go on until the client closes.
        peerWentAway = true
        return undefined
      case 'settings':
        if (frame.initialWindowSize !== undefined) sender.setInitialWindow(frame.initialWindowSize)
        return undefined
      case 'window-update':
        sender.grant(frame.streamId === 0 ? 'connection' : streams.get(frame.streamId), frame.delta)
        return undefined
    }
    frame satisfies never
    return undefined
  }

  async function passOver(id: number, fin: boolean, headerBlock: Buffer): Promise<void> {
    await decoder.decode(headerBlock)
    const stream = streams.get(id)
    if (fin && stream) endOfInput(stream)
  }

  async function openStream(id: number, fin: boolean, headerBlock: Buffer): Promise<void> {
    const headers = await decoder.decode(headerBlock)
    if (over || closing || peerWentAway) return
    if (id % 2 === 0 || id <= lastStreamId) return sendReset(id, RST_STATUS.protocolError)
    lastStreamId = id
    if (streams.size >= options.maxStreams) return sendReset(id, RST_STATUS.refusedStream)
    const stream = createStream(id, headers)
    streams.set(id, stream)
    try {
      options.onStream(stream)
    } catch (error) {
      stream.localEnded = true
      stream.remoteEnded = true
      sendReset(id, RST_STATUS.refusedStream)
      stream.duplex.destroy(error as Error)
      return
    }
    sender.control(synReplyFrame(id, encodeHeaders(new Map())))
    if (fin) endOfInput(stream)
  }

  function createStream(id: number, headers: Headers): OpenStream {
    const duplex = new Duplex({
      allowHalfOpen: true,
      read() {
        stream.drained?.()
      },
      write(chunk: Buffer, _encoding, callback) {
        sender.data(stream, chunk, callback)
      },
      final(callback) {
        sender.end(stream, callback)
      },
      destroy(error, callback) {
        streams.delete(id)
        stream.drained?.()
        // A stream that both sides have finished just ends; any other is cut off for the peer as well.
        if (!over && !(stream.localEnded && stream.remoteEnded)) sendReset(id, RST_STATUS.cancel)
        stream.localEnded = true
        sender.wake()
        callback(error)
      },
    })
    // Whoever uses the stream hears of its end through pipelines; a reset that arrives before that must not be fatal.
    duplex.on('error', () => {})
    const stream: OpenStream = {
      id,
      headers,
      duplex,
      drained: undefined,
      remoteEnded: false,
      localEnded: false,
      credit: 0,
      unacknowledged: 0,
    }
    return stream
  }

  function receive(id: number, data: Buffer, fin: boolean): Promise<void> | undefined {
    const stream = streams.get(id)
    // Data may still be on its way to a stream that was reset.
    if (!stream || stream.remoteEnded) return undefined
    if (data.length > 0) stream.duplex.push(data)
    if (fin) endOfInput(stream)
    if (stream.duplex.readableLength <= STREAM_BUFFER) {
      acknowledge(stream, data.length)
      return undefined
    }
    return new Promise((resolve) => {
      const pings = setInterval(() => {
        sender.control(pingFrame(nextPing))
        nextPing = nextPing >= 0x7ffffffe ? 2 : nextPing + 2
      }, PING_INTERVAL_MS)
      stream.drained = () => {
        clearInterval(pings)
        stream.drained = undefined
        acknowledge(stream, data.length)
        resolve()
      }
    })
  }

  function endOfInput(stream: OpenStream): void {
    if (stream.remoteEnded) return
    stream.remoteEnded = true
    stream.duplex.push(null)
  }

  /** Tells a peer that keeps windows that bytes were taken; others ignore it. */
  function acknowledge(stream: OpenStream, bytes: number): void {
    connectionUnacknowledged += bytes
    if (connectionUnacknowledged >= WINDOW_UPDATE_AT) {
      sender.control(windowUpdateFrame(0, connectionUnacknowledged))
      connectionUnacknowledged = 0
    }
    stream.unacknowledged += bytes
    if (stream.unacknowledged >= WINDOW_UPDATE_AT && !stream.remoteEnded) {
      sender.control(windowUpdateFrame(stream.id, stream.unacknowledged))
      stream.unacknowledged = 0
    }
  }

  function sendReset(id: number, status: RstStatus): void {
    sender.control(rstStreamFrame(id, status))
  }

  function close(): void {
    if (over || closing) return
    closing = true
    sender.control(goAwayFrame(lastStreamId, GO_AWAY_STATUS.ok))
    // Ends after everything written before; the client closes its side when it has read that.
    endTransport()
  }

  function endTransport(): void {
    if (transport.destroyed) return
    transport.end()
    const linger = setTimeout(() => transport.destroy(), LINGER_MS)
    transport.once('close', () => clearTimeout(linger))
  }

  function finish(error: Error | undefined): void {
    if (over) return
    over = true
    sender[Symbol.dispose]()
    clearTimeout(idle)
    decoder[Symbol.dispose]()
    for (const stream of Array.from(streams.values())) {
      stream.duplex.destroy(error ?? new SpdyError('peer-gone', 'the connection was closed'))
    }
    sender.wake()
    // What was written (a GOAWAY, the last data) still goes out where the peer reads it.
    if (!transport.writableEnded) endTransport()
    transport.resume()
    settleClosed(error)
  }

  return { closed, close, destroy: finish }
}
