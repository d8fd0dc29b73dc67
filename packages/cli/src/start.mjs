// @ts-check
/**
 * What `bin/caisson` runs from a checkout: switches on the cache of compiled code, then loads the command line. JavaScript,
 * because Node's reader of types takes longer to load (60 ms) than everything else that a command needs; from the second
 * start on what it would read comes from the cache too.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync } from 'node:fs'
import { enableCompileCache, registerHooks } from 'node:module'
import { homedir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

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

/**
 * What our own files import is where they say. Node would ask the system of each whether it is there, through which links,
 * and what package it is of: 0.1 ms, and a cluster has a thousand of them.
 *
 * @type {import('node:module').ResolveHookSync}
 */
function resolve(specifier, context, next) {
  const { parentURL } = context
  if (specifier.startsWith('.') && specifier.endsWith('.ts') && parentURL !== undefined)
    return { url: new URL(specifier, parentURL).href, format: 'module-typescript', shortCircuit: true }
  if (specifier.startsWith('node:')) return { url: specifier, format: 'builtin', shortCircuit: true }
  if (!specifier.startsWith('@caisson/')) return next(specifier, context)
  const known = packages.get(specifier)
  if (known) return known
  const found = { ...next(specifier, context), shortCircuit: true }
  packages.set(specifier, found)
  return found
}

/** @type {Map<string, import('node:module').ResolveFnOutput>} */
const packages = new Map()
registerHooks({ resolve })

const directory = cacheDirectory()
if (directory !== undefined) enableCompileCache({ directory })
await import('./main.ts')
