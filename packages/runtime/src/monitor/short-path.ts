import { closeSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A path for a unix socket that other processes of the same user can use too. */
export interface ShortPath extends Disposable {
  path: string
}

// sun_path has 108 bytes, the closing zero included.
const LONGEST = 107

/**
 * The path itself, or, where it is too long for a socket's address, a short one through an open descriptor of its
 * directory, good until it is disposed of.
 */
export function shortPath(path: string): ShortPath {
  if (Buffer.byteLength(path) <= LONGEST) return { path, [Symbol.dispose]: () => {} }
  const directory = openSync(dirname(path), 'r')
  return {
    path: join('/proc', String(process.pid), 'fd', String(directory), path.slice(dirname(path).length + 1)),
    [Symbol.dispose]: () => closeSync(directory),
  }
}
