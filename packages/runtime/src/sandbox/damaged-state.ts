/** What an OCI runtime has written down of a container, where a crash of the machine or a full disk has left it without content. */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

export interface RuntimeState {
  /** Of the OCI runtime. */
  root: string
  containerId: string
  isSentry: boolean
}

/**
 * Takes it away where it cannot be read: the runtime itself, which only knows a container by it, would refuse for ever to
 * remove that container. False, and nothing done, where there is nothing damaged. Processes are not looked for: they end
 * with the sandbox's control group.
 */
export async function removeDamagedState({ root, containerId, isSentry }: RuntimeState): Promise<boolean> {
  // A sentry's container has files, of which the names say whose sentry it is in, and a socket; any other a directory.
  const isOwn = (name: string): boolean =>
    isSentry ? name.startsWith(`${containerId}_sandbox:`) || name === `runsc-${containerId}.sock` : name === containerId
  const own = (await readdir(root)).filter(isOwn)
  const states = isSentry ? own.filter((name) => name.endsWith('.state')) : own.map((name) => join(name, 'state.json'))
  const whole = await Promise.all(states.map((name) => isWhole(join(root, name))))
  if (states.length === 0 || whole.some(Boolean)) return false
  for (const name of own) await rm(join(root, name), { recursive: true, force: true })
  return true
}

/** What is not there is not damaged. */
async function isWhole(file: string): Promise<boolean> {
  try {
    JSON.parse(await readFile(file, 'utf8'))
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    // Of a runtime that writes down something else.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}
