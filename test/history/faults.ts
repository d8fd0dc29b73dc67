/** What happens to the server under test. Each fault is caused for real, and says whether it did what it is for. */
import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Random } from '../differential/script.ts'
import type { KeptServer } from './campaign.ts'
import { createConnection } from './connection.ts'
import type { Operation } from './history.ts'
import { CONFIG_MAPS } from './kinds.ts'
import { EVERYTHING } from './lister.ts'
import type { Proxy } from './proxy.ts'
import type { Recorder } from './recorder.ts'
import { watchOnce } from './watcher.ts'
import { checkpointProgress } from './write-ahead-log.ts'

export interface FaultContext {
  server: KeptServer
  proxy: Proxy
  recorder: Recorder
  random: Random
  /** Of the server, on a disk of its own. */
  directory: string
  /** How much writers write beside the content, characters. */
  padding: number
  /** How long the watcher that does not read sleeps at most, ms. */
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
    const { server, directory } = context
    // It takes some milliseconds, and may be over before the process is.
    for (let attempt = 0; attempt < 5; attempt++) {
      const { gone } = server.current()
      await server.current().killAtCheckpoint()
      await Promise.all([gone, writeBallast(context, gone)])
      const { copied, missing } = checkpointProgress(join(directory, 'state'))
      await server.restart('killed during a checkpoint')
      if (copied > 0 && missing > 0) return true
    }
    return false
  },
  /** Of the window of events, which goes on when what happened last has expired already. */
  async 'kill during compaction'(context: FaultContext) {
    await untilExpired(context)
    context.server.current().tell({ kind: 'die-after-sync' })
    await context.server.restart('killed during compaction')
    return true
  },
  async 'stop in order'({ server }: FaultContext) {
    server.current().stop()
    await server.restart('stopped')
    return true
  },
  /** When it stops, all of the log goes into the database. */
  async 'kill while stopping'(context: FaultContext) {
    const { server, directory } = context
    for (let attempt = 0; attempt < 5; attempt++) {
      const { gone } = server.current()
      // Less than what is copied anyhow.
      await writeBallast(context, setTimeout(500))
      await server.current().killAtCheckpoint()
      server.current().stop()
      await gone
      // It is removed at the very end.
      const cut = existsSync(join(directory, 'state', 'state.db-wal'))
      await server.restart('killed while stopping')
      if (cut) return true
    }
    return false
  },
  /** And once more before it answers. */
  async 'kill while starting'({ server, random }: FaultContext) {
    server.current().kill()
    await server.restart('killed, and killed again while starting', 100 + random.integer(900))
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
  /** A watcher reads nothing for longer than the server waits, while more comes than sockets hold. */
  async 'slow watcher'(context: FaultContext) {
    const { recorder } = context
    const before = recorder.watchings.length
    const cut = (): boolean =>
      recorder.watchings.slice(before).some(({ client, end }) => client === 'sleeper' && end === 'lost')
    await withPadding(context, 150_000, async () => {
      context.sleeps = 5000
      const deadline = performance.now() + PATIENCE_MS
      while (!cut() && performance.now() < deadline) await setTimeout(100)
      context.sleeps = 0
    })
    return cut()
  },
  async 'full disk'(context: FaultContext) {
    const { recorder, directory } = context
    const filler = join(directory, 'filler')
    fill(filler)
    // The log has room for some time yet; the database cannot grow.
    await writeBallast(
      context,
      told(recorder.onOutcome, ({ outcome }) => outcome.kind === 'nothing' && outcome.reason.includes('disk is full')),
    )
    // Reads, refusals and failures of the same time are what is looked at.
    await setTimeout(300)
    rmSync(filler)
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

/** Resolves when an operation has had a wanted outcome. */
function told(listeners: Recorder['onOutcome'], wanted: (operation: Operation) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const listener = (operation: Operation): void => {
      if (!wanted(operation)) return
      listeners.delete(listener)
      resolve()
    }
    listeners.add(listener)
  })
}

async function untilExpired({ recorder }: FaultContext): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  const from = { revision: recorder.newest }
  const watch = { recorder, client: 'prober', kind: CONFIG_MAPS, selection: EVERYTHING, from, bookmarks: false }
  for (;;) {
    const { entries } = await watchOnce(connection, { ...watch, timeoutSeconds: undefined, patience: 50, sleeps: 0 })
    if (entries.some(({ type }) => type === 'ERROR')) return
  }
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

/** Large objects that no history is of, more and more of them, until something happens. */
async function writeBallast({ recorder, random }: FaultContext, happened: Promise<void>): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  const over = new AbortController()
  const ended = happened.then(() => over.abort())
  const series = random.integer(2 ** 31)
  for (let count = 0; !over.signal.aborted; count++) {
    const metadata = { name: `ballast-${series}-${count}` }
    const stringData = { ballast: `${count}`.padEnd(300_000) }
    try {
      await connection.send('POST', '/api/v1/namespaces/a/secrets', { body: { metadata, stringData } })
    } catch {
      // The server was killed meanwhile.
    }
  }
  await ended
  await connection.send('DELETE', '/api/v1/namespaces/a/secrets').catch(() => undefined)
}
