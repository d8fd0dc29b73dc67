/** A watch as a chunked HTTP answer: its events are encoded and framed once for all who watch in the same form. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { KubeObject } from '@caisson/api'
import { encodeWatchEvent } from '../protobuf/encode.ts'
import { PROTOBUF_TYPE } from '../protobuf/messages.ts'
import { encode } from '../storage/encoding.ts'
import type { AcceptedWatch, WatchMessage } from '../verbs/call.ts'
import { SLICE_BYTES, slices } from './stream-pieces.ts'

/** Buffered in the process for one client before its watch is paused. */
const HIGH_WATER_BYTES = 256 << 10

/** Turns what is sent into what the client asked to see (a Table row, metadata alone). */
export type MessageTransform = (message: WatchMessage) => WatchMessage

/** How events are written one after the other. */
export interface StreamFormat {
  contentType: string
  encode(message: WatchMessage): string
  /** Of what `encode` gives. */
  charset: 'utf8' | 'latin1'
  /** The chunk of an event, the same for all who hear of it. */
  frame(message: WatchMessage): Buffer
}

/** One line an event. */
export const JSON_STREAM: StreamFormat = createFormat('application/json', 'utf8', encodeLine)

/** Each with its length before it. */
export const PROTOBUF_STREAM: StreamFormat = createFormat(
  `${PROTOBUF_TYPE};stream=watch`,
  'latin1',
  ({ type, object }) => encodeWatchEvent(type, object as KubeObject),
)

export interface StreamWatchOptions {
  watch: AcceptedWatch
  response: ServerResponse
  /** Names and values, alternating. */
  headers: string[]
  format: StreamFormat
  transform: MessageTransform | undefined
  /** A client that has not taken what is buffered after so long, ms, is gone or holds it on purpose. */
  stalledMs: number
  /** Waited for before a large event is written. */
  turn(): Promise<void> | undefined
  /** Waited for before an event is written, where too much is buffered for the user already. */
  room(): Promise<void> | undefined
  /** Counts what is buffered until what is returned is called. */
  hold(bytes: number): () => void
}

/** Settles when the stream is over, whoever ended it. */
export function streamWatch(options: StreamWatchOptions): Promise<void> {
  const { watch, response, headers, format, transform, stalledMs } = options
  if (response.closed) return Promise.resolve()
  response.writeHead(200, headers)
  response.flushHeaders()
  const { socket } = response
  // Past the response, whose own framing would cost three writes an event and watcher. Only where the socket is ours
  // already: an answer that waits for an earlier one on the same connection has none yet.
  const direct = response.chunkedEncoding ? socket : null
  const output = direct ?? response
  /** Counted, until the client has taken what is buffered. */
  let held: (() => void) | undefined
  let stalled: NodeJS.Timeout | undefined
  /** An event is not all written. */
  let busy = false
  let ended = false

  function hold(bytes: number): void {
    held = options.hold(bytes)
    stalled = setTimeout(() => response.destroy(), stalledMs).unref()
  }

  function release(): void {
    clearTimeout(stalled)
    held?.()
    held = undefined
  }

  /** Returns false where the client has to be waited for. */
  function write(message: WatchMessage): boolean {
    if (!direct) response.write(format.encode(message), format.charset)
    else {
      cork(direct)
      direct.write(format.frame(message))
    }
    if (output.writableLength <= HIGH_WATER_BYTES) return true
    hold(output.writableLength)
    return false
  }

  function isLarge(message: WatchMessage): boolean {
    return direct !== null && format.frame(message).length > SLICE_BYTES
  }

  /** Slice by slice: see there. */
  async function writeLarge(socket: Socket, frame: Buffer): Promise<void> {
    hold(frame.length)
    for (const slice of slices(frame)) {
      await new Promise<unknown>((resolve) => socket.write(slice, resolve))
      if (response.closed) return
    }
    release()
  }

  /** A thousand watchers take seconds to be told of one large event, and room for a thousand of it. */
  async function writeLater(message: WatchMessage): Promise<void> {
    const large = isLarge(message)
    while (!response.closed) {
      const room = options.room()
      if (room) await room
      else if (!large) break
      else {
        await options.turn()
        // Not taken by others meanwhile.
        if (!options.room()) break
      }
    }
    if (response.closed) return
    const goesOn = large && direct ? await writeLarge(direct, format.frame(message)).then(() => true) : write(message)
    busy = false
    if (ended) response.end()
    else if (goesOn && !response.closed) running.resume()
  }

  const running = watch.start({
    send(event) {
      const message = transform ? transform(event) : event
      if (!options.room() && !isLarge(message)) return write(message)
      busy = true
      writeLater(message).catch(() => response.destroy())
      return false
    },
    end() {
      ended = true
      if (!busy) response.end()
    },
  })
  const onDrain = () => {
    if (busy || !held) return
    release()
    if (!response.writableEnded) running.resume()
  }
  output.on('drain', onDrain)
  return new Promise((resolve) => {
    response.on('close', () => {
      output.off('drain', onDrain)
      release()
      running[Symbol.dispose]()
      resolve()
    })
  })
}

const corked = new Set<Socket>()

/**
 * The events of one commit come one right after the other, and go out in one write to each watcher: after the answers of
 * that commit, so that whoever wrote need not wait until a hundred watchers have been told.
 */
function cork(socket: Socket): void {
  if (corked.has(socket)) return
  if (corked.size === 0) setImmediate(uncorkAll)
  corked.add(socket)
  socket.cork()
}

function uncorkAll(): void {
  const sockets = [...corked]
  corked.clear()
  for (const socket of sockets) socket.uncork()
}

function createFormat(
  contentType: string,
  charset: StreamFormat['charset'],
  encodeMessage: (message: WatchMessage) => string,
): StreamFormat {
  // The watchers of an event hear of it one after the other, so remembering one frame is remembering enough.
  let lastObject: object | undefined
  let lastType = ''
  let lastFrame: Buffer = Buffer.alloc(0)
  return {
    contentType,
    charset,
    encode: encodeMessage,
    frame(message) {
      if (message.object !== lastObject || message.type !== lastType) {
        lastFrame = chunk(encodeMessage(message), charset)
        lastObject = message.object
        lastType = message.type
      }
      return lastFrame
    },
  }
}

/** Of `Transfer-Encoding: chunked`. */
function chunk(content: string, charset: StreamFormat['charset']): Buffer {
  return Buffer.from(`${Buffer.byteLength(content, charset).toString(16)}\r\n${content}\r\n`, charset)
}

function encodeLine({ type, object }: WatchMessage): string {
  return `{"type":"${type}","object":${encode(object)}}\n`
}
