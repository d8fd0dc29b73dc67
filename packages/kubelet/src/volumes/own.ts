import { chmodSync, chownSync, readFileSync } from 'node:fs'
import { chmod, chown } from 'node:fs/promises'

export interface Ownership {
  /** Left as they are where both are undefined; root's where one is. */
  uid?: number | undefined
  group: number | undefined
  mode: number
}

/**
 * Gives a file an owner and then the mode, of which a change of owner clears bits. The user namespace of a normal user's
 * node may not have that owner: then everybody in the Pod may do what that owner should, and nobody outside of it, since
 * the Pod's directory is private.
 */
export async function own(path: string, ownership: Ownership): Promise<void> {
  const { uid, group } = ownership
  const owned =
    (uid === undefined && group === undefined) || (await chown(path, uid ?? 0, group ?? 0).then(yes, noSuchOwner))
  await chmod(path, modeOf(ownership, owned))
}

/** As `own`, for a thread that has nothing else to do. */
export function ownSync(path: string, ownership: Ownership & { uid: number; group: number }): void {
  let owned = true
  try {
    chownSync(path, ownership.uid, ownership.group)
  } catch (error) {
    owned = noSuchOwner(error as NodeJS.ErrnoException)
  }
  chmodSync(path, modeOf(ownership, owned))
}

function modeOf({ uid, group, mode }: Ownership, owned: boolean): number {
  const [user, members] = [uid === undefined ? 0 : (mode >> 6) & 7, group === undefined ? 0 : (mode >> 3) & 7]
  return owned ? mode : mode | user | members
}

const yes = (): boolean => true

/** For `catch`: false where this user namespace has no such user or group. */
export function noSuchOwner(error: NodeJS.ErrnoException): false {
  if (error.code !== 'EINVAL') throw error
  return false
}

/** As many as containers have reason to use. */
const USERS = 65_536

/** Why files of volumes cannot belong to whom they should; undefined where they can. */
export function ownersProblem(map = readFileSync('/proc/self/uid_map', 'utf8')): string | undefined {
  const users = map.split('\n').reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0)
  if (users >= USERS) return undefined
  return "files of volumes belong to root whoever they should belong to, and only root in a container can make new ones: a normal user's node has no other users. Install newuidmap (package uidmap), give this user 65536 ids in /etc/subuid and /etc/subgid, and start the node anew"
}
