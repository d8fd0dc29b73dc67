/**
 * What the objects of one namespace may cost all others: they share one table of the kernel and one process that keeps it.
 * The oldest come first; for one that no longer fits there is something smaller, or nothing.
 */
export interface NamespaceBudget {
  /** Gives what is granted to this object, and to others where that is something else than before. */
  set(key: string, asked: Asked): ReadonlyMap<string, Granted>
  remove(key: string): ReadonlyMap<string, Granted>
}

export interface Asked {
  namespace: string
  /** Orders objects by when they were made; those of the same age are ordered by their keys. */
  age: string
  /** Of what it may be given, the best first. Where none fits it is given what costs nothing. */
  costs: readonly number[]
}

export interface Granted {
  /** Which of the costs fits; their number where none does. */
  level: number
  /** What those before it take. */
  spent: number
}

interface Entry extends Asked {
  key: string
  /** Undefined until it is judged. */
  level: number | undefined
  /** What those before it took when it was judged. */
  spent: number
}

export function createNamespaceBudget(budget: number): NamespaceBudget {
  const entries = new Map<string, Entry>()
  /** Of each namespace, the oldest first. */
  const ordered = new Map<string, Entry[]>()

  /** The places that changed, and what follows until one has as much before it as it had: then so have all after it. */
  function judge(namespace: string, ...places: readonly number[]): ReadonlyMap<string, Granted> {
    const changed = new Map<string, Granted>()
    const own = ordered.get(namespace) ?? []
    const [from, to] = [Math.min(...places), Math.max(...places)]
    const [before] = own.slice(Math.max(0, from - 1), from)
    let spent = before ? before.spent + costOf(before) : 0
    for (const [offset, entry] of own.slice(from).entries()) {
      if (from + offset > to && entry.spent === spent) break
      const { key, costs } = entry
      const found = costs.findIndex((cost) => spent + cost <= budget)
      const level = found < 0 ? costs.length : found
      if (entry.level !== level) changed.set(key, { level, spent })
      Object.assign(entry, { level, spent })
      spent += costOf(entry)
    }
    return changed
  }

  /** Gives where it was; undefined where it was nowhere. */
  function take(key: string): number | undefined {
    const known = entries.get(key)
    if (!known) return undefined
    entries.delete(key)
    const own = ordered.get(known.namespace) ?? []
    const at = own.indexOf(known)
    own.splice(at, 1)
    if (own.length === 0) ordered.delete(known.namespace)
    return at
  }

  function put(entry: Entry): number {
    const { key, namespace, age } = entry
    const own = ordered.get(namespace) ?? []
    ordered.set(namespace, own)
    // Most come in the order in which they were made.
    const at = 1 + own.findLastIndex((other) => other.age < age || (other.age === age && other.key < key))
    own.splice(at, 0, entry)
    entries.set(key, entry)
    return at
  }

  return {
    set(key, asked) {
      const was = take(key)
      const at = put({ ...asked, key, level: undefined, spent: 0 })
      return judge(asked.namespace, was ?? at, at)
    },
    remove(key) {
      const known = entries.get(key)
      const was = take(key)
      return known && was !== undefined ? judge(known.namespace, was, was) : new Map()
    },
  }
}

/** What it takes as it is judged. */
function costOf({ costs, level = 0 }: Entry): number {
  return costs[level] ?? 0
}
