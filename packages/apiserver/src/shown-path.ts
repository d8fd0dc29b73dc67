/** Paths of fields, as clients are told of them. */

/** Of a path and of a key that are told, characters. */
export const LONGEST_PATH = 1024

/**
 * A path with one more part, no longer than is told: what has a beginning in common, which may be as long as a body, would
 * hold as many copies of it.
 *
 * @param part a field, or `[index]`
 */
export function below(path: string, part: string): string {
  const separator = path === '' || part.startsWith('[') ? '' : '.'
  const room = LONGEST_PATH - path.length - separator.length
  return room > 0 ? path + separator + part.slice(0, room) : path
}
