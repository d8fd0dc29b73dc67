/** A connection that somebody else answers where it turns out that nobody does. */
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** What a client may have said by then; it is kept waiting with more, ... */
const REPLAY_BYTES = 64 * 1024
/** ... for as long as this at most: somebody listens then, and wants to hear it all before he answers. */
const HOLD_MS = 5000

/**
 * Connects by `first`, or by `otherwise` where nobody listens. A sentry says so only after it has taken what the client
 * said: until there is an answer that is kept, and said again.
 */
export async function connectOrElse(first: () => Promise<Duplex>, otherwise: () => Promise<Duplex>): Promise<Duplex> {
  try {
    const connection = await first()
    // One of TCP was accepted by whoever listens.
    return connection instanceof Socket ? connection : replaceable(connection, otherwise)
  } catch (error) {
    if (!nobodyListens(error)) throw error
    return await otherwise()
  }
}

function nobodyListens(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'network'
}

/** Whoever takes words and closes without one of his own: what carries them to a sentry may close before it says why. */
function nobodyAnswers(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return code === 'network' || code === 'EPIPE' || code === 'ECONNRESET'
}

function replaceable(connection: Duplex, otherwise: () => Promise<Duplex>): Duplex {
  let current: Duplex | undefined = connection
  let hasEnded = false
  /** Of the client, for as long as there may have to be another connection. */
  let said: Buffer[] | undefined = []
  let saidBytes = 0
  let waiting: (() => void) | undefined

  let hold: NodeJS.Timeout | undefined

  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void current?.resume(),
    write(chunk: Buffer, _encoding, callback) {
      saidBytes += chunk.length
      said?.push(chunk)
      if (!current) {
        waiting = callback
        return
      }
      current.write(chunk, (error) => {
        if (!said) return callback(error)
        // Whether what may be replaced took it does not matter.
        if (saidBytes <= REPLAY_BYTES) return callback()
        waiting = callback
        hold ??= setTimeout(decide, HOLD_MS)
      })
    },
    final(callback) {
      hasEnded = true
      current?.end()
      callback()
    },
    destroy(error, callback) {
      clearTimeout(hold)
      current?.destroy()
      callback(error)
    },
  })

  /** The connection is what it is from now on. */
  function decide(): void {
    said = undefined
    clearTimeout(hold)
    const go = waiting
    waiting = undefined
    go?.()
  }

  function follow(followed: Duplex): void {
    followed.on('data', (chunk: Buffer) => {
      decide()
      if (!stream.push(chunk)) followed.pause()
    })
    followed.on('end', () => stream.push(null))
    followed.on('error', (error) => failed(followed, error))
    // It may have failed before anybody listened.
    if (followed.errored) failed(followed, followed.errored)
  }

  function failed(followed: Duplex, error: Error): void {
    if (followed !== current) return
    if (said && followed === connection && nobodyAnswers(error)) void replace(said)
    else stream.destroy(error)
  }

  async function replace(sayAgain: Buffer[]): Promise<void> {
    current = undefined
    try {
      const next = await otherwise()
      if (stream.destroyed) return void next.destroy()
      for (const chunk of sayAgain) next.write(chunk)
      if (hasEnded) next.end()
      current = next
      follow(next)
      decide()
    } catch (error) {
      stream.destroy(error as Error)
    }
  }

  follow(connection)
  stream.on('error', () => {})
  return stream
}
