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
 * The names that go where there are more than `most`, the oldest first: those under which an image was pulled, of which
 * the next pull gives them again. Each image keeps one, and what archives have called theirs stays.
 *
 * @param names the oldest first
 */
export function namesBeyond(names: ReadonlyMap<string, string>, most: number): string[] {
  if (names.size <= most) return []
  const pulled = new Set([...names].flatMap(([name, id]) => (name.includes('@') ? [sourceOf(name, id)] : [])))
  const left = new Map<string, number>()
  for (const id of names.values()) left.set(id, (left.get(id) ?? 0) + 1)
  const gone: string[] = []
  for (const [name, id] of names) {
    if (names.size - gone.length <= most * KEPT_SHARE) break
    const others = (left.get(id) ?? 0) - 1
    if (others === 0 || !pulled.has(sourceOf(name, id))) continue
    left.set(id, others)
    gone.push(name)
  }
  return gone
}

/** A pull names an image by its digest too. */
export function sourceOf(name: string, id: string): string {
  return `${repositoryOf(parseReference(name))} ${id}`
}
