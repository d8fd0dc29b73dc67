/**
 * The language of the differential test: a script is a list of steps, the same for every server. A step may be built from
 * the answers to earlier steps of the same server (a resourceVersion, a uid, a continue token).
 */

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  query?: Readonly<Record<string, string>>
  /** A JSON value, or a string that is sent as it is. */
  body?: unknown
  contentType?: string
  accept?: string
  headers?: Readonly<Record<string, string>>
  /** What of a successful answer's body is compared; all of it where it is left out. */
  select?(body: unknown): unknown
  /** Asked again until it holds, at most half a minute: for what a server publishes some time after a write. */
  until?(body: unknown): boolean
}

export interface Answer {
  status: number
  contentType: string
  warnings: readonly string[]
  /** The decoded JSON; for a watch the list of its events; text where it is not JSON. */
  body: unknown
}

/** What a step may ask of the answers so far. */
export interface Memory {
  answer(label: string): Answer | undefined
}

export interface Step {
  /** Unique; says in a report what was tried. */
  label: string
  request: Request | ((memory: Memory) => Request)
}

/** A seeded generator (mulberry32): the same seed writes the same script on every machine. */
export interface Random {
  next(): number
  integer(below: number): number
  pick<T>(items: readonly T[]): T
  chance(probability: number): boolean
}

export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const integer = (below: number): number => Math.floor(next() * below)
  return {
    next,
    integer,
    pick: (items) => {
      const item = items[integer(items.length)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
    chance: (probability) => next() < probability,
  }
}

/** A field of an answer's body by dotted path: `metadata.resourceVersion`. */
export function field(memory: Memory, label: string, path: string): string {
  let value: unknown = memory.answer(label)?.body
  for (const key of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[key]
  return typeof value === 'string' ? value : ''
}
