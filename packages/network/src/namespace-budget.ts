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
}

export function createNamespaceBudget(budget: number): NamespaceBudget {
  const entries = new Map<string, Entry>()
  /** Of each namespace, the oldest first. */
  const ordered = new Map<string, Entry[]>()

  function judge(namespace: string): ReadonlyMap<string, Granted> {
    const changed = new Map<string, Granted>()
    let spent = 0
    for (const entry of ordered.get(namespace) ?? []) {
      const { key, costs } = entry
      const found = costs.findIndex((cost) => spent + cost <= budget)
      const level = found < 0 ? costs.length : found
      if (entry.level !== level) changed.set(key, { level, spent })
      entry.level = level
      spent += costs[level] ?? 0
    }
    return changed
  }

  function take(key: string): Entry | undefined {
    const known = entries.get(key)
    if (!known) return undefined
    entries.delete(key)
    const left = (ordered.get(known.namespace) ?? []).filter((entry) => entry !== known)
    if (left.length > 0) ordered.set(known.namespace, left)
    else ordered.delete(known.namespace)
    return known
  }

  return {
    set(key, asked) {
      const known = entries.get(key)
      if (known?.namespace === asked.namespace && known.age === asked.age) {
        known.costs = asked.costs
        known.level = undefined
      } else {
        take(key)
        const { namespace, age } = asked
        const entry: Entry = { ...asked, key, level: undefined }
        entries.set(key, entry)
        const others = ordered.get(namespace) ?? []
        const at = others.findIndex((other) => other.age > age || (other.age === age && other.key > key))
        ordered.set(namespace, at < 0 ? [...others, entry] : others.toSpliced(at, 0, entry))
      }
      return judge(asked.namespace)
    },
    remove(key) {
      const known = take(key)
      return known ? judge(known.namespace) : new Map()
    },
  }
}
