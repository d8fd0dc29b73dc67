/**
 * How the containers ended that were stopped with the node. Nobody can be told then, since the API goes down with it: it
 * is written down, and told by the next agent before anything else.
 */
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ContainerState, readRecord } from '@caisson/runtime'

export type RecordedEnd = Extract<ContainerState, { phase: 'exited' }>

/** By runtime id. */
export type RecordedEnds = ReadonlyMap<string, RecordedEnd>

const FILE = 'ended.json'

/** None where nothing was recorded, or what was is not whole. Rejects where it cannot be read now: it is all that knows. */
export async function readEnds(dataDir: string): Promise<RecordedEnds> {
  return new Map(Object.entries((await readRecord<Record<string, RecordedEnd>>(join(dataDir, FILE))) ?? {}))
}

/** Adds to what was recorded and not told yet. A node that ran nothing may have no directory either. */
export async function recordEnds(dataDir: string, ends: RecordedEnds): Promise<void> {
  if (ends.size === 0) return
  const all = Object.fromEntries([...(await readEnds(dataDir)), ...ends])
  const temporary = join(dataDir, `${FILE}.new`)
  await writeFile(temporary, JSON.stringify(all), { mode: 0o600 })
  await rename(temporary, join(dataDir, FILE))
}

export async function forgetEnds(dataDir: string): Promise<void> {
  await rm(join(dataDir, FILE), { force: true })
}
