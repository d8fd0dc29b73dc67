/**
 * What goes out on a SPDY connection: data as far as the peer's windows and the socket take it, and answers to its frames.
 *
 * client-go's SPDY library (moby/spdystream) neither respects nor sends window updates, so a window can only bind this
 * side once the peer has shown that it keeps one.
 */
import type { Duplex } from 'node:stream'
import { dataFrameHeader } from './frame.ts'
import { SpdyError } from './spdy-error.ts'

/** The protocol's initial window, for streams and for the connection. */
export const INITIAL_WINDOW = 64 * 1024
/** Largest DATA frame that is written: small enough that streams take turns. */
const MAX_DATA = 32 * 1024
/** Answers to control frames that may wait for a peer that sends but does not read. */
const MAX_PENDING_CONTROL = 64 * 1024

/** What is to be known of a stream to send on it. */
export interface SendingStream {
  id: number
  /** Nothing more is sent on it. */
  localEnded: boolean
  /** Bytes that its window has beyond those it began with; negative where more were sent than given back. */
  credit: number
}

type Done = (error?: Error | null) => void

/** Once disposed it sends nothing more: data is refused, the rest dropped. Who waits for room hears of it by `wake`. */
export interface Sender extends Disposable {
  /** Calls back when the kernel has all of the chunk, or an error says that it never will. */
  data(stream: SendingStream, chunk: Buffer, done: Done): void
  /** Half-closes the stream. */
  end(stream: SendingStream, done: Done): void
  /** Sends a frame that is not data. */
  control(frame: Buffer): void
  /** Resolves when the peer has read enough of the answers that wait for it; undefined where it has. */
  controlRead(): Promise<void> | undefined
  /** The peer gives back bytes of a window; undefined where the stream is gone, which shows nonetheless that it keeps them. */
  grant(to: SendingStream | 'connection' | undefined, bytes: number): void
  /** The peer has every stream begin with another window, those that are open too. */
  setInitialWindow(bytes: number): void
  /** Who waits for room looks again: a stream has ended, or this. */
  wake(): void
}

/** @param onData is called whenever data is sent */
export function createSender(transport: Duplex, onData: () => void): Sender {
  const waiting = new Set<() => void>()
  let peerKeepsWindows = false
  let initialWindow = INITIAL_WINDOW
  let connectionWindow = INITIAL_WINDOW
  let pendingControl = 0
  let onControlRead: (() => void) | undefined
  let over = false

  function data(stream: SendingStream, chunk: Buffer, done: Done): void {
    if (over || stream.localEnded) return done(new SpdyError('closed', 'the stream was closed'))
    const length = Math.min(MAX_DATA, room(stream), chunk.length)
    if (length <= 0 && chunk.length > 0) {
      waiting.add(() => data(stream, chunk, done))
      return
    }
    stream.credit -= length
    connectionWindow -= length
    onData()
    transport.cork()
    transport.write(dataFrameHeader(stream.id, length, false))
    // The callback comes when the kernel has the bytes: each stream has one frame on its way at most.
    transport.write(chunk.subarray(0, length), (error) => {
      if (error || length === chunk.length) done(error)
      else data(stream, chunk.subarray(length), done)
    })
    transport.uncork()
  }

  function room({ credit }: SendingStream): number {
    return peerKeepsWindows ? Math.min(initialWindow + credit, connectionWindow) : MAX_DATA
  }

  function wake(): void {
    // A writer that finds no room waits again, and must not be asked twice in this round.
    const writers = Array.from(waiting)
    waiting.clear()
    for (const write of writers) write()
  }

  return {
    data,
    end(stream, done) {
      if (stream.localEnded || over) return done()
      stream.localEnded = true
      onData()
      transport.write(dataFrameHeader(stream.id, 0, true), () => done())
    },
    control(frame) {
      if (over || transport.writableEnded || transport.destroyed) return
      pendingControl += frame.length
      transport.write(frame, () => {
        pendingControl -= frame.length
        if (pendingControl <= MAX_PENDING_CONTROL) onControlRead?.()
      })
    },
    controlRead() {
      if (pendingControl <= MAX_PENDING_CONTROL) return undefined
      return new Promise((resolve) => {
        onControlRead = resolve
      })
    },
    grant(to, bytes) {
      peerKeepsWindows = true
      if (to === 'connection') connectionWindow += bytes
      else if (to) to.credit += bytes
      wake()
    },
    setInitialWindow(bytes) {
      peerKeepsWindows = true
      initialWindow = bytes
      wake()
    },
    wake,
    [Symbol.dispose]() {
      over = true
      onControlRead?.()
    },
  }
}
