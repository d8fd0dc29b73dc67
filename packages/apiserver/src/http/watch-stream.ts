/** A watch as a chunked HTTP answer: one JSON line an event, encoded once for all who watch. */
import type { ServerResponse } from 'node:http'
import { encode } from '../storage/encoding.ts'
import type { AcceptedWatch, WatchMessage } from '../verbs/call.ts'

/** Buffered in the process for one client before its watch is paused. */
const HIGH_WATER_BYTES = 1 << 20

/** Turns what is sent into what the client asked to see (a Table row, metadata alone). */
export type MessageTransform = (message: WatchMessage) => WatchMessage

export interface StreamWatchOptions {
  watch: AcceptedWatch
  response: ServerResponse
  /** Names and values, alternating. */
  headers: string[]
  transform: MessageTransform | undefined
}

/** Settles when the stream is over, whoever ended it. */
export function streamWatch({ watch, response, headers, transform }: StreamWatchOptions): Promise<void> {
  response.writeHead(200, headers)
  response.flushHeaders()
  const socket = response.socket
  let paused = false
  const running = watch.start({
    send(message) {
      response.write(transform ? encodeMessage(transform(message)) : sharedLine(message))
      if (!socket || socket.writableLength <= HIGH_WATER_BYTES) return true
      paused = true
      return false
    },
    end: () => void response.end(),
  })
  const onDrain = () => {
    if (!paused || response.writableEnded) return
    paused = false
    running.resume()
  }
  response.on('drain', onDrain)
  return new Promise((resolve) => {
    response.on('close', () => {
      running[Symbol.dispose]()
      resolve()
    })
  })
}

// The watchers of an event hear of it one after the other, so remembering one line is remembering enough.
let lastObject: object | undefined
let lastType = ''
let lastLine = Buffer.alloc(0)

function sharedLine(message: WatchMessage): Buffer {
  if (message.object !== lastObject || message.type !== lastType) {
    lastLine = Buffer.from(encodeMessage(message))
    lastObject = message.object
    lastType = message.type
  }
  return lastLine
}

function encodeMessage({ type, object }: WatchMessage): string {
  return `{"type":"${type}","object":${encode(object)}}\n`
}
