// @ts-check
/**
 * What `bin/caisson` runs from a checkout: switches on the cache of compiled code, then loads the command line. JavaScript,
 * because Node's reader of types takes longer to load (60 ms) than everything else that a command needs; from the second
 * start on what it would read comes from the cache too.
 */
import { registerHooks } from 'node:module'
import { keepCompiledCode } from './compiled-cache.mjs'

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

keepCompiledCode()
const { main } = await import('./main.ts')
await main()
