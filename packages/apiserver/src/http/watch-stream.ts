/** A watch as a chunked HTTP answer: one JSON line an event, encoded and framed once for all who watch. */
import type { ServerResponse } from 'node:http'
import { encode } from '../storage/encoding.ts'
import type { AcceptedWatch, WatchMessage } from '../verbs/call.ts'

/** Buffered in the process for one client before its watch is paused. */
const HIGH_WATER_BYTES = 256 << 10

/** Turns what is sent into what the client asked to see (a Table row, metadata alone). */
export type MessageTransform = (message: WatchMessage) => WatchMessage

export interface StreamWatchOptions {
  watch: AcceptedWatch
  response: ServerResponse
  /** Names and values, alternating. */
  headers: string[]
  transform: MessageTransform | undefined
  /** A client that has not taken what is buffered after so long, ms, is gone or holds it on purpose. */
  stalledMs: number
}

/** Settles when the stream is over, whoever ended it. */
export function streamWatch({ watch, response, headers, transform, stalledMs }: StreamWatchOptions): Promise<void> {
  if (response.closed) return Promise.resolve()
  response.writeHead(200, headers)
  response.flushHeaders()
  const { socket } = response
  // Past the response, whose own framing would cost three writes an event and watcher. Only where the socket is ours
  // already: an answer that waits for an earlier one on the same connection has none yet.
  const direct = response.chunkedEncoding ? socket : null
  const output = direct ?? response
  let paused = false
  let corked = false
  let stalled: NodeJS.Timeout | undefined
  const running = watch.start({
    send(message) {
      if (!direct) response.write(encodeMessage(transform ? transform(message) : message))
      else {
        // The events of one commit come one right after the other, and go out in one write.
        if (!corked) {
          corked = true
          direct.cork()
          queueMicrotask(() => {
            corked = false
            direct.uncork()
          })
        }
        direct.write(transform ? frame(encodeMessage(transform(message))) : sharedFrame(message))
      }
      if (output.writableLength <= HIGH_WATER_BYTES) return true
      paused = true
      clearTimeout(stalled)
      stalled = setTimeout(() => response.destroy(), stalledMs).unref()
      return false
    },
    end: () => void response.end(),
  })
  const onDrain = () => {
    if (!paused || response.writableEnded) return
    paused = false
    clearTimeout(stalled)
    running.resume()
  }
  output.on('drain', onDrain)
  return new Promise((resolve) => {
    response.on('close', () => {
      output.off('drain', onDrain)
      clearTimeout(stalled)
      running[Symbol.dispose]()
      resolve()
    })
  })
}

// The watchers of an event hear of it one after the other, so remembering one frame is remembering enough.
let lastObject: object | undefined
let lastType = ''
let lastFrame: Buffer = Buffer.alloc(0)

function sharedFrame(message: WatchMessage): Buffer {
  if (message.object !== lastObject || message.type !== lastType) {
    lastFrame = frame(encodeMessage(message))
    lastObject = message.object
    lastType = message.type
  }
  return lastFrame
}

/** A chunk of `Transfer-Encoding: chunked`. */
function frame(line: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(line).toString(16)}\r\n${line}\r\n`)
}

function encodeMessage({ type, object }: WatchMessage): string {
  return `{"type":"${type}","object":${encode(object)}}\n`
}
