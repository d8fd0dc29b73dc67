/**
 * How many names a store has. Whoever has a registry can have the same image pulled under ever new ones, and all of them are
 * read for each image that is looked for, and written with each pull.
 */
import { parseReference, repositoryOf } from './reference.ts'

/** More than any node has images; a few megabytes of names, which take some 20 ms to read. */
export const MOST_NAMES = 16_384
/** Where there are too many, so many go that this is not asked again with the next one. */
const KEPT_SHARE = 0.9

/**
 * The names that go where there are more than `most`: the oldest of the images that have the most, which are nobody's but of
 * whoever gave them. They are such as the next pull gives again: each image keeps one, and what archives have called theirs
 * stays.
 *
 * @param names the oldest first
 */
export function namesBeyond(names: ReadonlyMap<string, string>, most: number): string[] {
  if (names.size <= most) return []
  const pulled = new Set([...names].flatMap(([name, id]) => (name.includes('@') ? [sourceOf(name, id)] : [])))
  const left = new Map<string, number>()
  for (const id of names.values()) left.set(id, (left.get(id) ?? 0) + 1)
  const each = shareOf([...left.values()], most * KEPT_SHARE)
  const gone: string[] = []
  for (const [name, id] of names) {
    const count = left.get(id) ?? 0
    if (count <= each || !pulled.has(sourceOf(name, id))) continue
    left.set(id, count - 1)
    gone.push(name)
  }
  return gone
}

/** How many each may keep so that all together have no more than `most`, one at least. */
function shareOf(counts: readonly number[], most: number): number {
  let left = most
  for (const [index, count] of counts.toSorted((a, b) => a - b).entries()) {
    const others = counts.length - index
    if (count * others > left) return Math.max(1, Math.floor(left / others))
    left -= count
  }
  return Number.POSITIVE_INFINITY
}

/** A pull names an image by its digest too. */
export function sourceOf(name: string, id: string): string {
  return `${repositoryOf(parseReference(name))} ${id}`
}
