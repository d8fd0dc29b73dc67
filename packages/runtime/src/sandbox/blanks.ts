import { readFile } from 'node:fs/promises'
import type { SandboxSpec } from '../runtime.ts'
import { type Blank, discardBlank, makeBlank } from './blank.ts'
import { type BlankShape, shapeKey } from './blank-shape.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { openSnapshot } from './snapshot-files.ts'

/** Sandboxes made ahead, for snapshots that were made and restored lately. Without snapshots there are none. */
export interface Blanks extends AsyncDisposable {
  /** A snapshot was made, from which so many sandboxes may come at once. */
  expect(snapshotDirectory: string, restores: number): Promise<void>
  /** One that fits a snapshot, which is the caller's to use up or to discard. */
  take(snapshotDirectory: string, network: SandboxSpec['network']): Promise<Blank | undefined>
  /** Does what restores a sandbox, during which none is made. */
  whileRestoring<T>(restore: () => Promise<T>): Promise<T>
  /** Takes all away that are ready; one that is being made is taken away when it is. */
  drop(): Promise<void>
}

/** Of one shape, and of all: each holds a sentry, some 12 MB. */
const MOST_OF_A_SHAPE = 5
const MOST = 8
/** Whoever is being restored needs the machine more, and for a moment after that. */
const QUIET_MS = 100
/** Restores that came within this time may come so again. */
const BURST_MS = 10_000
const IDLE_MS = 300_000
const LOOK_MS = 10_000
/** Part of the machine's memory that has to be available. */
const LEAST_AVAILABLE = 0.1

interface Kind {
  shape: BlankShape
  wanted: number
  ready: Blank[]
  usedAt: number
  /** One is being made. */
  making: boolean
  /** Who waits for that one. */
  claim: PromiseWithResolvers<Blank | undefined> | undefined
  /** When one was taken, or would have been. */
  taken: number[]
}

export function createBlanks(parts: RuntimeParts): Blanks {
  /** The longest unused first. */
  const kinds = new Map<string, Kind>()
  let filling: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let looking: NodeJS.Timeout | undefined
  let restoring = 0
  let closed = false

  const discard = (blank: Blank): Promise<void> => discardBlank(parts, blank)
  const count = (): number => [...kinds.values()].reduce((sum, { ready }) => sum + ready.length, 0)

  function use(shape: BlankShape): Kind {
    const key = shapeKey(shape)
    const kind = kinds.get(key) ?? {
      shape,
      wanted: 0,
      ready: [],
      usedAt: 0,
      making: false,
      claim: undefined,
      taken: [],
    }
    kinds.delete(key)
    kinds.set(key, kind)
    kind.usedAt = performance.now()
    fillLater()
    return kind
  }

  function fillLater(): void {
    if (closed) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      timer = undefined
      // What cannot be made is not there; who restores a snapshot makes his own, and hears of what is wrong.
      filling ??= fill()
        .catch(() => {})
        .finally(() => {
          filling = undefined
        })
    }, QUIET_MS).unref()
    looking ??= setInterval(() => void look().catch(() => {}), LOOK_MS).unref()
  }

  /** One at a time, and none while somebody restores, or is about to: then the timer runs again. */
  async function fill(): Promise<void> {
    for (;;) {
      const kind = [...kinds.values()].reverse().find(({ ready, wanted }) => ready.length < wanted)
      if (!kind || closed || timer || restoring > 0 || (await isMemoryShort())) return
      if (count() >= MOST && !(await evictFor(kind))) return
      await make(kind)
    }
  }

  async function make(kind: Kind): Promise<void> {
    const key = shapeKey(kind.shape)
    let blank: Blank | undefined
    kind.making = true
    try {
      blank = await makeBlank(parts, kind.shape)
    } catch (error) {
      kinds.delete(key)
      throw error
    } finally {
      kind.making = false
      const isWanted = kinds.get(key) === kind && !closed
      const { claim } = kind
      kind.claim = undefined
      claim?.resolve(isWanted ? blank : undefined)
      if (blank && !isWanted) await discard(blank)
      else if (blank && !claim) kind.ready.push(blank)
    }
  }

  /** Makes room at the cost of a shape that was not used for longer. */
  async function evictFor(kind: Kind): Promise<boolean> {
    const other = [...kinds.values()].find((each) => each !== kind && each.ready.length > 0)
    if (!other || other.usedAt > kind.usedAt) return false
    other.wanted = other.ready.length - 1
    const blank = other.ready.pop()
    if (blank) await discard(blank)
    return true
  }

  async function look(): Promise<void> {
    const short = await isMemoryShort()
    const doomed = [...kinds].filter(([, { usedAt }]) => short || performance.now() - usedAt > IDLE_MS)
    for (const [key] of doomed) kinds.delete(key)
    if (kinds.size === 0) {
      clearInterval(looking)
      looking = undefined
    }
    await Promise.all(doomed.flatMap(([, { ready }]) => ready.map(discard)))
  }

  async function drop(): Promise<void> {
    const ready = [...kinds.values()].flatMap((kind) => kind.ready)
    kinds.clear()
    await Promise.all(ready.map(discard))
  }

  return {
    async expect(snapshotDirectory, restores) {
      // A snapshot of a source that has ended is all that is left of it, and is not lost because nothing is made ahead.
      const opened = await openSnapshot(snapshotDirectory).catch(() => undefined)
      const shape = opened?.manifest.shape
      if (!shape) return
      const kind = use(shape)
      kind.wanted = Math.min(Math.max(kind.wanted, restores), MOST_OF_A_SHAPE)
    },
    async take(snapshotDirectory, network) {
      const { shape } = (await openSnapshot(snapshotDirectory)).manifest
      if (shape?.network !== network.kind) return undefined
      const kind = use(shape)
      const now = performance.now()
      kind.taken = [...kind.taken.filter((at) => now - at < BURST_MS), now].slice(-MOST_OF_A_SHAPE)
      kind.wanted = Math.max(kind.wanted, kind.taken.length)
      const ready = kind.ready.shift()
      if (ready || !kind.making || kind.claim) return ready
      // It is further than one that is begun now.
      kind.claim = Promise.withResolvers()
      return await kind.claim.promise
    },
    async whileRestoring(restore) {
      restoring++
      try {
        return await restore()
      } finally {
        restoring--
        if (kinds.size > 0) fillLater()
      }
    },
    drop,
    async [Symbol.asyncDispose]() {
      closed = true
      clearTimeout(timer)
      clearInterval(looking)
      await filling
      await drop()
    },
  }
}

async function isMemoryShort(): Promise<boolean> {
  const text = await readFile('/proc/meminfo', 'utf8')
  const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return read('MemAvailable') < read('MemTotal') * LEAST_AVAILABLE
}
