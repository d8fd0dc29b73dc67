/**
 * What either side of Kubernetes' channel protocols writes: each WebSocket message belongs to the channel that its first
 * byte numbers. In the base64 variants that byte is a digit and the rest is base64 text.
 */
import { Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { callBack } from './call-back.ts'

export interface ChannelWriterOptions {
  /** Default `binary`. */
  encoding?: 'binary' | 'base64'
  /** Called for each message. */
  onSend?: () => void
}

export interface ChannelWriter {
  /**
   * One channel. A write is done as soon as little enough is on its way that the next one may come; its end when the
   * network has taken all that was written, and after `final`.
   */
  output(channel: number, final?: () => Promise<void>): Writable
  /** One message. Resolves when the network has taken it; who does not wait for that need not handle a rejection. */
  send(channel: number, data: Buffer): Promise<void>
  /** Resolves when the network has taken all that was written, rejects with what kept it from that. */
  flushed(): Promise<void>
}

/** What client-go reads in one go. */
const LARGEST_MESSAGE = 32 * 1024
/**
 * Bytes of a connection that wait for its peer before its writers do: enough that messages are made while others are on
 * their way, and all that a peer which does not read makes this process hold.
 */
const MOST_WAITING = 256 * 1024

export function writeChannels(socket: WebSocket, options: ChannelWriterOptions = {}): ChannelWriter {
  const { encoding = 'binary', onSend } = options
  let last = Promise.resolve()

  function sendMessage(message: Buffer): Promise<void> {
    onSend?.()
    last = new Promise((resolve, reject) => {
      const sent = (error?: Error | null): void => (error ? reject(asWriteError(error, socket)) : resolve())
      if (encoding === 'binary') socket.send(message, sent)
      else socket.send(`${message[0]}${message.toString('base64', 1)}`, sent)
    })
    last.catch(() => {})
    return last
  }

  async function write(channel: number, chunks: readonly Buffer[]): Promise<void> {
    for (const message of messagesOf(channel, chunks)) {
      const sent = sendMessage(message)
      if (socket.readyState !== socket.OPEN || socket.bufferedAmount > MOST_WAITING) await sent
    }
  }

  return {
    output(channel, final) {
      const output = new Writable({
        write: (chunk: Buffer, _encoding, callback) => void callBack(write(channel, [chunk]), callback),
        writev: (chunks, callback) =>
          void callBack(
            write(
              channel,
              chunks.map(({ chunk }) => chunk as Buffer),
            ),
            callback,
          ),
        final: (callback) => void callBack(final ? last.then(final) : last, callback),
      })
      // Who ends it or is told of the connection's end sees the error; who does neither must not be ended by it.
      output.on('error', () => {})
      return output
    },
    send: (channel, data) => sendMessage(Buffer.concat([Buffer.of(channel), data])),
    flushed: () => last,
  }
}

/** What `ws` says of a peer that has ended has no code: it is what a pipe says whose reader is gone. */
function asWriteError(error: Error, { readyState, OPEN }: WebSocket): Error {
  return readyState === OPEN || 'code' in error ? error : Object.assign(error, { code: 'EPIPE' })
}

/** The bytes of all chunks in as few messages as they take, each copied once. */
function* messagesOf(channel: number, chunks: readonly Buffer[]): Generator<Buffer> {
  let left = chunks.reduce((sum, { length }) => sum + length, 0)
  let message = Buffer.alloc(0)
  let filled = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      if (filled === message.length) {
        message = Buffer.allocUnsafeSlow(1 + Math.min(left, LARGEST_MESSAGE))
        message[0] = channel
        filled = 1
      }
      const copied = chunk.copy(message, filled, at)
      at += copied
      left -= copied
      filled += copied
      if (filled === message.length) yield message
    }
  }
}
