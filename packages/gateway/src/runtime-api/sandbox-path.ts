/** Paths of requests, which are relative to a directory of the sandbox. */

/**
 * The path without `.` and `..`, without a slash at either end; empty for the directory itself. Undefined where it leads
 * out, or can be no path at all.
 *
 * What links make of it only the sandbox knows: a command there looks at that.
 */
export function sandboxPath(path: string): string | undefined {
  if (path.includes('\0')) return undefined
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

/** The last segments of a URL's path, of which each may hold slashes that are encoded. Undefined where it is not UTF-8. */
export function decodedPath(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}
