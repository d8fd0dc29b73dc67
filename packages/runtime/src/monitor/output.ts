import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { FRAME, writeFrame } from './protocol.ts'
import { createTurns } from './turns.ts'

export interface OutputOptions {
  /** Non-blocking descriptor of the reading end of a pipe; owned from here on. */
  fd: number
  stream: 'stdout' | 'stderr'
  /** Whose it is, by a name that the container has for itself: its outputs share its turns. */
  container: string
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
  /** Whether it waits for a client that is slow, or had to wait for its turn since this was last asked. */
  wasHeldUp(): boolean
  /** Reads on after `onChunk` has stopped it. */
  resume(): void
}

// A client that takes nothing for this long is cut off, because the container waits for it.
const STALLED_AFTER_MS = 30_000

/** Bytes of all outputs that are carried on in one turn of the event loop: as many as come in one piece. */
export const CARRIED_AT_ONCE = 64 * 1024
// Pipes are filled while they are read, and every exec, start and end of the machine waits for the same thread.
const turns = createTurns(CARRIED_AT_ONCE)

/**
 * Reads a pipe no faster than its slowest client: nothing is dropped, so that what a client has read is exact, and
 * nothing is kept in memory beyond the clients' socket buffers.
 */
export function createOutput({ fd, stream, container, onChunk, pass }: OutputOptions): Output {
  const source = new Socket({ fd, readable: true, writable: false })
  const clients = new Set<Duplex>()
  const blocked = new Map<Duplex, NodeJS.Timeout>()
  const type = FRAME[stream]
  let held = false
  /** What was read and waits for its turn; nothing more is read meanwhile. */
  let pending: Buffer | undefined
  let waited = false
  const ended = Promise.withResolvers<void>()

  function readOn(): void {
    if (blocked.size === 0 && !held && !pending) source.resume()
  }

  function unblock(client: Duplex): void {
    clearTimeout(blocked.get(client))
    blocked.delete(client)
    readOn()
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

  function carryOn(): void {
    const chunk = pending
    if (!chunk) return
    pending = undefined
    if (onChunk?.(chunk) === false) {
      held = true
      source.pause()
    }
    const passed = pass ? pass(chunk) : chunk
    if (passed) for (const client of clients) if (!writeFrame(client, type, passed)) block(client)
    readOn()
    if (source.closed) ended.resolve()
  }

  source.on('data', (chunk: Buffer) => {
    pending = chunk
    turns.take(container, chunk.length, carryOn)
    if (!pending) return
    waited = true
    source.pause()
  })
  source.on('error', () => {})
  source.on('close', () => {
    if (!pending) ended.resolve()
  })

  return {
    ended: ended.promise,
    addClient(client) {
      clients.add(client)
    },
    removeClient(client) {
      clients.delete(client)
      if (blocked.has(client)) unblock(client)
    },
    wasHeldUp() {
      const was = waited || blocked.size > 0
      waited = pending !== undefined
      return was
    },
    resume() {
      held = false
      readOn()
    },
    [Symbol.dispose]() {
      for (const timer of blocked.values()) clearTimeout(timer)
      pending = undefined
      source.destroy()
    },
  }
}
