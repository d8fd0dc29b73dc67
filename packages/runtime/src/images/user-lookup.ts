import { open } from 'node:fs/promises'
import { RuntimeError } from '../runtime-error.ts'
import { hostPath, resolveInside } from './rootfs-path.ts'

export interface ResolvedUser {
  uid: number
  gid: number
  additionalGids: number[]
}

interface PasswdLine {
  name: string
  uid: number
  gid: number
}

interface GroupLine {
  name: string
  gid: number
  members: string[]
}

const LONGEST_FILE = 4 * 1024 * 1024
const LARGEST_ID = 2 ** 32 - 2

/** Looks `USER` or `USER:GROUP`, names or numbers, up in a root file system's own files. */
export async function lookUpUser(root: string, user: string): Promise<ResolvedUser> {
  return resolveUser(user, {
    passwd: parsePasswd(await readInside(root, 'etc/passwd')),
    group: parseGroup(await readInside(root, 'etc/group')),
  })
}

/** A number needs no line of its own; a name does. Without a group it is that of the user's line, else 0. */
function resolveUser(user: string, files: { passwd: PasswdLine[]; group: GroupLine[] }): ResolvedUser {
  const [userPart = '', groupPart, ...more] = user.split(':')
  if (more.length > 0) throw notFound(user, 'user')
  const number = userPart === '' ? 0 : parseId(userPart)
  const line = files.passwd.find(({ name, uid }) => (number === undefined ? name === userPart : uid === number))
  if (number === undefined && !line) throw notFound(userPart, 'user')
  const uid = line?.uid ?? number ?? 0
  const additionalGids = files.group.filter(({ members }) => line && members.includes(line.name)).map(({ gid }) => gid)
  if (groupPart === undefined || groupPart === '')
    return { uid, gid: line?.gid ?? 0, additionalGids: unique(additionalGids) }
  const gid = parseId(groupPart) ?? files.group.find(({ name }) => name === groupPart)?.gid
  if (gid === undefined) throw notFound(groupPart, 'group')
  // Whoever names the group means that one and no other.
  return { uid, gid, additionalGids: [] }
}

function parsePasswd(text: string): PasswdLine[] {
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    const [uidNumber, gidNumber] = [parseId(uid ?? ''), parseId(gid ?? '')]
    return name && uidNumber !== undefined && gidNumber !== undefined ? [{ name, uid: uidNumber, gid: gidNumber }] : []
  })
}

function parseGroup(text: string): GroupLine[] {
  return text.split('\n').flatMap((line) => {
    const [name, , gid, members] = line.split(':')
    const number = parseId(gid ?? '')
    return name && number !== undefined
      ? [{ name, gid: number, members: (members ?? '').split(',').filter((member) => member !== '') }]
      : []
  })
}

/** An image may make any of its files a link to one of ours: it is followed inside the image only. */
async function readInside(root: string, name: string): Promise<string> {
  const parts = resolveInside(root, name.split('/'))
  const file = await open(hostPath(root, parts.join('/'))).catch((error: NodeJS.ErrnoException) => {
    // What cannot be opened now, as where no more files may be, says nothing of who the user is: its group is not root's.
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  })
  if (!file) return ''
  try {
    const info = await file.stat()
    if (!info.isFile() || info.size > LONGEST_FILE) return ''
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const number = Number(text)
  return number <= LARGEST_ID ? number : undefined
}

function unique(numbers: number[]): number[] {
  return [...new Set(numbers)]
}

function notFound(name: string, what: 'user' | 'group'): RuntimeError {
  return new RuntimeError('user-not-found', `the image has no ${what} ${JSON.stringify(name.slice(0, 100))}`)
}
