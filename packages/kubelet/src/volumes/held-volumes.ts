/**
 * Which volumes of claims this node has in use, by itself: what the API says of a Pod, its phase or that it is gone, may
 * come before its containers have ended. A file in the Pod's directory tells the next agent.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { PodDirectories } from '../pod-directories.ts'

/** For whoever gives volumes back. */
export interface VolumesInUse {
  /** Whether something here has the directory of a volume, or is about to. */
  has(directory: string): boolean
  /** Called with those that a Pod had of which nothing is left. */
  onLeft(listener: (directories: readonly string[]) => void): Disposable
}

export interface HeldVolumes extends VolumesInUse {
  /** Before anything of the volume is used for a Pod, whose directory is there. */
  hold(uid: string, directory: string): Promise<void>
  /** Nothing of the Pod is left, its directory neither. */
  leave(uid: string): void
}

/** @param uids of Pods that an earlier agent left directories of */
export async function openHeldVolumes(directories: PodDirectories, uids: Iterable<string>): Promise<HeldVolumes> {
  /** By uid. */
  const held = new Map<string, Set<string>>()
  const listeners = new Set<(directories: readonly string[]) => void>()
  for (const uid of uids) {
    const found = await readHeld(directories.heldVolumes(uid))
    if (found.length > 0) held.set(uid, new Set(found))
  }
  const has = (directory: string): boolean => [...held.values()].some((paths) => paths.has(directory))

  return {
    has,
    onLeft(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async hold(uid, directory) {
      const paths = held.get(uid) ?? new Set()
      held.set(uid, paths)
      if (paths.has(directory)) return
      paths.add(directory)
      const file = directories.heldVolumes(uid)
      await writeFile(`${file}.new`, JSON.stringify([...paths]), { mode: 0o600 })
      await rename(`${file}.new`, file)
    },
    leave(uid) {
      const paths = held.get(uid)
      if (!paths) return
      held.delete(uid)
      const left = [...paths].filter((path) => !has(path))
      for (const listener of listeners) listener(left)
    },
  }
}

/**
 * Empty where the Pod has none. Whatever an agent begins after it has written the file is whole, but where the machine has
 * lost its power: then nothing runs that could use a volume.
 */
async function readHeld(file: string): Promise<string[]> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as string[]
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
