import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { RuntimeError } from '../runtime-error.ts'

const MOST_LINKS = 40

/** A path on this machine for a name inside a root file system; both are byte strings. */
export function hostPath(root: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(root), Buffer.from(`/${name}`, 'latin1')])
}

/**
 * The parts of a member's name. Throws a `RuntimeError` of code `bad-archive` for a name that could leave the root file
 * system.
 */
export function memberParts(name: string): string[] {
  if (name.startsWith('/') || name.includes('\0'))
    throw new RuntimeError('bad-archive', `the name ${JSON.stringify(name)} is not a relative path`)
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..'))
    throw new RuntimeError('bad-archive', `the name ${JSON.stringify(name)} leads out of the image`)
  return parts
}

/**
 * Where a path leads inside a root file system when links are followed as they would be from within it: absolute ones
 * start at its root, and `..` stops there. So nothing outside is ever touched, whatever the image's links say. The result
 * is relative to the root; parts that do not exist are kept as they are.
 *
 * @param known directories that need not be looked at, because whoever asks has made them and nobody else changes them
 */
export function resolveInside(root: string, parts: string[], known?: { has(directory: string): boolean }): string[] {
  const pending = [...parts].reverse()
  const done: string[] = []
  let links = 0
  while (pending.length > 0) {
    const part = pending.pop() ?? ''
    if (part === '' || part === '.') continue
    if (part === '..') {
      done.pop()
      continue
    }
    const name = done.length === 0 ? part : `${done.join('/')}/${part}`
    if (known?.has(name)) {
      done.push(part)
      continue
    }
    const path = hostPath(root, name)
    if (!lstatOrNothing(path)?.isSymbolicLink()) {
      done.push(part)
      continue
    }
    if (++links > MOST_LINKS)
      throw new RuntimeError('bad-archive', `too many links in ${JSON.stringify(parts.join('/'))}`)
    const target = readlinkSync(path, { encoding: 'buffer' }).toString('latin1')
    if (target.startsWith('/')) done.length = 0
    pending.push(...target.split('/').reverse())
  }
  return done
}

/** What is at a path; undefined where nothing is, or something is in the way. */
export function lstatOrNothing(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw error
  }
}
