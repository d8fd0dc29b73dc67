/** Paths of fields, as clients are told of them. */

/** Of a path and of a key that are told, characters. */
export const LONGEST_PATH = 1024

/**
 * A path with one more part, no longer than is told: what has a beginning in common, which may be as long as a body, would
 * hold as many copies of it.
 *
 * @param separator what is between them: nothing where the part is an `[index]`
 */
export function below(path: string, part: string, separator = path === '' ? '' : '.'): string {
  const room = LONGEST_PATH - path.length - separator.length
  return room > 0 ? path + separator + part.slice(0, room) : path
}
