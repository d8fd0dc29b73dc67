// @ts-check
/** Where Node keeps compiled code between one command and the next. */

// Not imported: to import `fs` has Node read each of its properties, which loads its streams (3 ms of every command).
const { chmodSync, existsSync, lstatSync, mkdirSync } = process.getBuiltinModule('node:fs')
const { enableCompileCache } = process.getBuiltinModule('node:module')
const { homedir, userInfo } = process.getBuiltinModule('node:os')
const { isAbsolute, join } = process.getBuiltinModule('node:path')

/** From here on what is loaded is kept compiled, where that is safe. */
export function keepCompiledCode() {
  const directory = cacheDirectory()
  if (directory !== undefined) enableCompileCache({ directory })
}

/**
 * Node runs what it finds in the cache as it is, so whoever writes there runs code as this user. Node's own choice is a
 * directory with a known name in /tmp, which anybody can make first; this one has to be the user's, and nobody else's to
 * write. Where it is not, everything works, compiled anew.
 *
 * @returns {string | undefined}
 */
function cacheDirectory() {
  const caches = process.env['XDG_CACHE_HOME'] ?? ''
  const root = isAbsolute(caches) ? caches : join(homedir() || userInfo().homedir, '.cache')
  const directory = join(root, 'caisson', 'compiled')
  try {
    for (const path of [root, join(root, 'caisson'), directory]) makeDirectory(path)
    const found = lstatSync(directory)
    return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0 ? directory : undefined
  } catch {
    return undefined
  }
}

/**
 * Each by itself: Node's own recursion never ends where a directory takes no others and says that there are none, as /proc
 * does, and makes a home for a user who has none.
 *
 * @param {string} path
 */
function makeDirectory(path) {
  if (existsSync(path)) return
  mkdirSync(path, { mode: 0o700 })
  // The umask may have taken from the mode, never added to it.
  chmodSync(path, 0o700)
}
