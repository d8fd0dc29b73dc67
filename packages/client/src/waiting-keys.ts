/**
 * Keys that wait, in the order of their arrival; of several namespaces each has its turn, so that whoever has thousands of
 * objects waits behind himself. Each step takes the same time however many there are.
 */
export interface WaitingKeys<K extends string> {
  /** Does nothing where it waits already. */
  add(key: K): void
  delete(key: K): void
  /** The next one, which then waits no more. */
  take(): K | undefined
}

export function createWaitingKeys<K extends string>(): WaitingKeys<K> {
  const lines = new Map<string, Line<K>>()
  /** Of the namespaces that have a line. */
  const turns = createLine<string>()

  return {
    add(key) {
      const namespace = namespaceOf(key)
      let line = lines.get(namespace)
      if (!line) lines.set(namespace, (line = createLine()))
      line.add(key)
      turns.add(namespace)
    },
    delete: (key) => lines.get(namespaceOf(key))?.delete(key),
    take() {
      for (let namespace = turns.take(); namespace !== undefined; namespace = turns.take()) {
        const line = lines.get(namespace)
        const key = line?.take()
        if (line?.size()) turns.add(namespace)
        else lines.delete(namespace)
        if (key !== undefined) return key
      }
      return undefined
    },
  }
}

/** None for what is in no namespace. */
function namespaceOf(key: string): string {
  return key.slice(0, Math.max(key.indexOf('/'), 0))
}

interface Line<T> {
  add(member: T): void
  delete(member: T): void
  take(): T | undefined
  size(): number
}

function createLine<T>(): Line<T> {
  const members = new Set<T>()
  // Kept, because a new one would look for the first member behind all that were deleted before it.
  let next = members.values()
  return {
    size: () => members.size,
    add: (member) => void members.add(member),
    delete: (member) => void members.delete(member),
    take() {
      let { value, done } = next.next()
      if (done) {
        next = members.values()
        ;({ value, done } = next.next())
      }
      if (done) return undefined
      members.delete(value as T)
      return value
    },
  }
}
