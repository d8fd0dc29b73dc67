import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { FRAME, writeFrame } from './protocol.ts'

export interface OutputOptions {
  /** Non-blocking descriptor of the reading end of a pipe; owned from here on. */
  fd: number
  stream: 'stdout' | 'stderr'
  /** Sees every byte before any client does. Where it gives false, nothing more is read until `resume`. */
  onChunk?: (chunk: Buffer) => boolean
  /** What of it clients get now. */
  pass?: (chunk: Buffer) => Buffer | undefined
}

/** One output of a process, copied to everybody who is attached. */
export interface Output extends Disposable {
  /** Resolves at end-of-file: every process that held the writing end is gone. */
  ended: Promise<void>
  addClient(client: Duplex): void
  removeClient(client: Duplex): void
  /** Whether it waits for a client that is slow. */
  blocked(): boolean
  /** Reads on after `onChunk` has stopped it. */
  resume(): void
}

// A client that takes nothing for this long is cut off, because the container waits for it.
const STALLED_AFTER_MS = 30_000

/**
 * Reads a pipe no faster than its slowest client: nothing is dropped, so that what a client has read is exact, and
 * nothing is kept in memory beyond the clients' socket buffers.
 */
export function createOutput({ fd, stream, onChunk, pass }: OutputOptions): Output {
  const source = new Socket({ fd, readable: true, writable: false })
  const clients = new Set<Duplex>()
  const blocked = new Map<Duplex, NodeJS.Timeout>()
  const type = FRAME[stream]
  let held = false
  const ended = Promise.withResolvers<void>()

  function unblock(client: Duplex): void {
    clearTimeout(blocked.get(client))
    blocked.delete(client)
    if (blocked.size === 0 && !held) source.resume()
  }

  function block(client: Duplex): void {
    if (blocked.has(client)) return
    source.pause()
    blocked.set(
      client,
      setTimeout(() => client.destroy(), STALLED_AFTER_MS),
    )
    client.once('drain', () => unblock(client))
  }

  source.on('data', (chunk: Buffer) => {
    if (onChunk?.(chunk) === false) {
      held = true
      source.pause()
    }
    const passed = pass ? pass(chunk) : chunk
    if (passed) for (const client of clients) if (!writeFrame(client, type, passed)) block(client)
  })
  source.on('error', () => {})
  source.on('close', () => ended.resolve())

  return {
    ended: ended.promise,
    addClient(client) {
      clients.add(client)
    },
    removeClient(client) {
      clients.delete(client)
      if (blocked.has(client)) unblock(client)
    },
    blocked: () => blocked.size > 0,
    resume() {
      held = false
      if (blocked.size === 0) source.resume()
    },
    [Symbol.dispose]() {
      for (const timer of blocked.values()) clearTimeout(timer)
      source.destroy()
    },
  }
}
