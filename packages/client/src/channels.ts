/**
 * The client's end of Kubernetes' channel protocols: each binary WebSocket message belongs to the channel that its first
 * byte numbers. v5 adds a message that ends one channel.
 */
import { Readable, type Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { writeChannels } from './channel-writer.ts'
import { TransportError } from './transport-error.ts'

export interface ChannelOptions {
  /** v5.channel.k8s.io: the end of an output can be said. */
  closeSignal: boolean
}

export interface Channels {
  /** What the server sends on this channel. All channels share one connection: one that is not read holds up the others. */
  input(channel: number): Readable
  /** Ending it tells the server, where the protocol can. */
  output(channel: number): Writable
  /** Resolves when the network has taken all that was written. */
  flushed(): Promise<void>
  /** Resolves with the connection's end: undefined where it was in order. Inputs have ended by then. */
  closed: Promise<Error | undefined>
  /** All was said: however the connection ends now is in order. */
  complete(): void
  /** Ends the connection at once; inputs fail with `reason`. */
  destroy(reason: Error): void
  /** Ends it in order. */
  close(): void
}

const CLOSE_CHANNEL = 255
const HIGH_WATER = 256 * 1024
const PING_MS = 10_000
/** Without a byte, and even an answer to a ping, for this long, nobody is there. */
const SILENT_MS = 60_000
const NORMAL = 1000
/** The peer went away without a word. */
const ABNORMAL = 1006

export function openChannels(socket: WebSocket, { closeSignal }: ChannelOptions): Channels {
  const inputs = new Map<number, Readable>()
  const writer = writeChannels(socket)
  const full = new Set<number>()
  const end = Promise.withResolvers<Error | undefined>()
  let failure: Error | undefined
  let isComplete = false
  let lastHeard = performance.now()

  function taken(channel: number): void {
    if (full.delete(channel) && full.size === 0) {
      lastHeard = performance.now()
      socket.resume()
    }
  }

  socket.on('message', (message: Buffer) => {
    lastHeard = performance.now()
    const channel = message[0]
    const input = channel === undefined ? undefined : inputs.get(channel)
    // Servers greet each channel with an empty message, and may use channels that we did not ask for.
    if (channel === undefined || !input || input.destroyed || message.length === 1) return
    if (input.push(message.subarray(1))) return
    full.add(channel)
    socket.pause()
  })
  socket.on('pong', () => {
    lastHeard = performance.now()
  })
  const pings = setInterval(() => {
    // While we do not read, the answers to our pings wait with everything else.
    if (full.size === 0 && performance.now() - lastHeard > SILENT_MS) {
      destroy(new TransportError('silent', `nothing came for ${SILENT_MS / 1000} s: the connection counts as dead`))
    } else if (socket.readyState === socket.OPEN) socket.ping()
  }, PING_MS)
  socket.on('close', (code: number, reason: Buffer) => {
    clearInterval(pings)
    if (code !== NORMAL && !isComplete) {
      const why =
        code === ABNORMAL
          ? 'the connection to the server broke'
          : `the server ended the connection: ${code} ${reason.toString('utf8')}`
      failure ??= new TransportError('lost', why)
    }
    for (const input of inputs.values()) {
      if (failure) input.destroy(failure)
      else input.push(null)
    }
    end.resolve(failure)
  })

  // It was opened paused: nothing that came with the handshake may be missed.
  socket.resume()

  function destroy(reason: Error): void {
    failure ??= reason
    socket.terminate()
  }

  return {
    closed: end.promise,
    destroy,
    flushed: () => writer.flushed(),
    close: () => socket.close(NORMAL),
    complete() {
      isComplete = true
    },

    input(channel) {
      const input = new Readable({
        highWaterMark: HIGH_WATER,
        read: () => taken(channel),
        destroy(error, callback) {
          taken(channel)
          callback(error)
        },
      })
      // Who reads it sees the error; who does not must not be ended by it.
      input.on('error', () => {})
      inputs.set(channel, input)
      return input
    },

    output(channel) {
      const output = writer.output(channel, async () => {
        if (!closeSignal)
          throw new TransportError(
            'malformed',
            'the server is too old to be told that the input has ended (v5.channel.k8s.io)',
          )
        await writer.send(CLOSE_CHANNEL, Buffer.of(channel))
      })
      void end.promise.then((error) => output.destroy(error))
      return output
    },
  }
}
