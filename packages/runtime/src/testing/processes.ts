import { readdir, readFile } from 'node:fs/promises'
import { processStartTime } from '../monitor/process-identity.ts'

/** Ids of processes on this machine whose command line holds a text. */
export async function processesWith(text: string): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const commandLine = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    if (commandLine.includes(text) && processStartTime(Number(name)) !== undefined) found.push(Number(name))
  }
  return found
}
