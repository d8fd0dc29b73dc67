/**
 * First in, first out, spread over nodes: what is taken comes from the node that has most left, so that no node is left
 * without. Every operation takes constant time, however many there are.
 */

export interface SpreadQueue {
  readonly size: number
  /** Adds to the end. A key that is there already keeps its place; its node may change. */
  add(key: string, node: string): void
  remove(key: string): void
  /** The oldest of the node that has most; what has no node yet comes after everything else. */
  take(): string | undefined
}

/** What is not on a node yet. */
const NOWHERE = ''

export function createSpreadQueue(): SpreadQueue {
  const nodeOf = new Map<string, string>()
  const byNode = new Map<string, Set<string>>()
  /** Nodes by how many they have. */
  const bySize = new Map<number, Set<string>>()
  let largest = 0

  function resize(node: string, change: 1 | -1): void {
    if (node === NOWHERE) return
    const now = byNode.get(node)?.size ?? 0
    const before = now - change
    const smaller = bySize.get(before)
    smaller?.delete(node)
    if (smaller?.size === 0) bySize.delete(before)
    if (now > 0) {
      const nodes = bySize.get(now) ?? new Set()
      bySize.set(now, nodes.add(node))
    }
    // Sizes change by one, so the next largest is one less at most.
    if (now > largest) largest = now
    else if (before === largest && !bySize.has(before)) largest = now
  }

  function put(key: string, node: string): void {
    nodeOf.set(key, node)
    const keys = byNode.get(node) ?? new Set()
    byNode.set(node, keys.add(key))
    resize(node, 1)
  }

  function remove(key: string): void {
    const node = nodeOf.get(key)
    if (node === undefined) return
    nodeOf.delete(key)
    const keys = byNode.get(node)
    keys?.delete(key)
    if (keys?.size === 0) byNode.delete(node)
    resize(node, -1)
  }

  return {
    get size() {
      return nodeOf.size
    },
    add(key, node) {
      if (nodeOf.get(key) === node) return
      remove(key)
      put(key, node)
    },
    remove,
    take() {
      const [node = NOWHERE] = bySize.get(largest) ?? []
      const [key] = byNode.get(node) ?? []
      if (key !== undefined) remove(key)
      return key
    },
  }
}
