/** What `caisson doctor` finds in the data directory: whether a cluster can start with what is there. */
import { existsSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { type DataDirectory, diskFull, isDiskFull, requireLayout, requireWritable } from '../cluster/data-directory.ts'
import { readNodeSettings } from '../cluster/node-file.ts'
import type { Finding } from '../findings.ts'
import { readImageSettings } from '../images/images-file.ts'

/** All that is wrong, with what to do about each. Nothing is changed. */
export async function dataFinding(directory: DataDirectory): Promise<Finding> {
  const about = { check: 'data', needed: true }
  if (!existsSync(directory.root)) return { ...about, state: 'ok', message: `the first start makes ${directory.root}` }
  const unwritable = await problemOf(() => {
    requireWritable(directory)
    if (isDiskFull(directory)) throw diskFull(directory.root)
  })
  const problems = [
    unwritable,
    await problemOf(() => requireLayout(directory)),
    await problemOf(() => readImageSettings(directory.images)),
    await problemOf(() => readNodeSettings(directory.node)),
    // One that cannot be written to cannot be looked at either.
    unwritable === undefined ? await damage(directory) : undefined,
  ].filter((problem) => problem !== undefined)
  if (problems.length > 0) return { ...about, state: 'missing', message: problems.join('; ') }
  return { ...about, state: 'ok', message: `${directory.root} can be written to, and what is in it read` }
}

async function problemOf(look: () => unknown): Promise<string | undefined> {
  try {
    await look()
    return undefined
  } catch (error) {
    if (error instanceof CliError) return error.message
    throw error
  }
}

async function damage(directory: DataDirectory): Promise<string | undefined> {
  if (!existsSync(directory.objects)) return undefined
  const { tryLock } = await import('../cluster/directory-lock.ts')
  // Whoever starts meanwhile waits. A store that somebody has open works, or says itself what is wrong.
  using lock = tryLock(directory)
  if (!lock) return undefined
  const { storeProblem } = await import('@caisson/apiserver')
  return storeProblem(directory.objects)
}
