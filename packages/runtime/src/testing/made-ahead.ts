import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Of what was launched for one that waits: which process it is. */
const RECORD_BYTES = 8

/**
 * Directories of the sandboxes that were made ahead: their sentries wait, and so does what will have them go on. Processes
 * do not tell how many there are: one has several, and each of its own looks like the one that it came from at first.
 */
export function madeAhead(stateDirectory: string): string[] {
  const root = join(stateDirectory, 'containers')
  return readdirSync(root)
    .filter((name) => name.endsWith('.blank'))
    .map((name) => join(root, name))
    .filter((directory) => sizeOf(join(directory, 'held/exits')) >= RECORD_BYTES)
}

/** Files in a directory are the only sign of them. */
export async function waitForMadeAhead(stateDirectory: string, count: number): Promise<string[]> {
  for (;;) {
    const found = madeAhead(stateDirectory)
    if (found.length >= count) return found
    await delay(20)
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
