/** What happens to the server under test. Each fault is caused for real, and says whether it did what it is for. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Random } from '../differential/script.ts'
import type { KeptServer } from './campaign.ts'
import type { Proxy } from './proxy.ts'
import type { Recorder } from './recorder.ts'

export interface FaultContext {
  server: KeptServer
  proxy: Proxy
  recorder: Recorder
  random: Random
  /** Of the server, on a disk of its own. */
  directory: string
  /** How much writers write beside the content, characters. */
  padding: number
  /** How long the watcher that does not read sleeps, ms. */
  sleeps: number
}

const PATIENCE_MS = 20_000

export const FAULTS = {
  async 'kill at any moment'({ server }: FaultContext) {
    server.current().kill()
    await server.restart('killed')
    return true
  },
  async 'kill between commit and sync'({ server }: FaultContext) {
    server.current().tell({ kind: 'die-before-sync' })
    await server.restart('killed between commit and sync')
    return true
  },
  async 'kill between sync and answer'({ server }: FaultContext) {
    server.current().tell({ kind: 'die-after-sync' })
    await server.restart('killed between sync and answer')
    return true
  },
  /** Of the write-ahead log into the database. */
  async 'kill during checkpoint'(context: FaultContext) {
    const { server } = context
    await withPadding(context, 30_000, async () => {
      server.current().killAtCheckpoint()
      await server.current().gone
    })
    await server.restart('killed during a checkpoint')
    return true
  },
  /** Of the window of events, which begins when somebody is told that a revision has expired. */
  async 'kill during compaction'({ server, recorder }: FaultContext) {
    await told(recorder.onExpired)
    server.current().tell({ kind: 'die-after-sync' })
    await server.restart('killed during compaction')
    return true
  },
  async 'stop in order'({ server }: FaultContext) {
    server.current().stop()
    await server.restart('stopped')
    return true
  },
  async 'reset connections'({ proxy, random }: FaultContext) {
    let broken = 0
    for (let count = 0; count < 5; count++) {
      broken += proxy.reset(() => random.chance(0.3))
      await setTimeout(random.integer(100))
    }
    return broken > 0
  },
  /** A watcher reads nothing for longer than the server waits. */
  async 'slow watcher'(context: FaultContext) {
    const { recorder } = context
    const before = recorder.watchings.length
    const cut = (): boolean =>
      recorder.watchings.slice(before).some(({ client, end }) => client === 'sleeper' && end === 'lost')
    await withPadding(context, 30_000, async () => {
      context.sleeps = 3000
      const deadline = performance.now() + PATIENCE_MS
      while (!cut() && performance.now() < deadline) await setTimeout(100)
      context.sleeps = 0
    })
    return cut()
  },
  async 'full disk'(context: FaultContext) {
    const { recorder, directory } = context
    const filler = join(directory, 'filler')
    await withPadding(context, 30_000, async () => {
      const full = told(
        recorder.onOutcome,
        ({ outcome }) => outcome.kind === 'nothing' && outcome.reason.includes('full'),
      )
      fill(filler)
      await full
      // Reads, refusals and failures of the same time are what is looked at.
      await setTimeout(300)
      rmSync(filler)
    })
    return true
  },
  /** The disk fails under what was committed: nothing more is written until the next start. */
  async 'failing disk'({ server, recorder }: FaultContext) {
    const failed = told(
      recorder.onOutcome,
      ({ outcome }) => outcome.kind === 'unknown' && outcome.reason.includes('the disk failed'),
    )
    server.current().tell({ kind: 'fail-sync' })
    await failed
    server.current().kill()
    await server.restart('killed after its disk failed')
    return true
  },
  async 'clock jumps'({ server, random }: FaultContext) {
    for (const hours of [3, -5, 1 + random.integer(24)]) {
      server.current().tell({ kind: 'move-clock', ms: hours * 3_600_000 })
      await setTimeout(200)
    }
    return true
  },
} as const

export type Fault = keyof typeof FAULTS

async function withPadding(context: FaultContext, padding: number, work: () => Promise<void>): Promise<void> {
  const before = context.padding
  context.padding = padding
  try {
    await work()
  } finally {
    context.padding = before
  }
}

/** Resolves when one of the listeners' sort is told something that is wanted. */
function told<T>(listeners: Set<(what: T) => void>, wanted: (what: T) => boolean = () => true): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = globalThis.setTimeout(() => {
      listeners.delete(listener)
      reject(new Error('the fault did not happen'))
    }, PATIENCE_MS)
    const listener = (what: T): void => {
      if (!wanted(what)) return
      listeners.delete(listener)
      clearTimeout(timer)
      resolve()
    }
    listeners.add(listener)
  })
}

/** Writes until there is no room left. */
function fill(file: string): void {
  const descriptor = openSync(file, 'w')
  try {
    for (let size = 1 << 20; size >= 1; size = Math.floor(size / 16)) {
      try {
        for (;;) writeSync(descriptor, Buffer.alloc(size))
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOSPC') throw error
      }
    }
  } finally {
    closeSync(descriptor)
  }
}
