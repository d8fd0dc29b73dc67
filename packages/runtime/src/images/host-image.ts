import { createHash } from 'node:crypto'
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { processStartTime } from '../monitor/process-identity.ts'
import { mountPoints } from '../mount-points.ts'
import type { Image } from '../runtime.ts'

/** The image that needs no download: what the machine itself has installed, and nothing that is anybody's business. */
export const HOST_IMAGE = 'caisson.dev/host:latest'

/** The ordinary user of the host image. */
export const HOST_IMAGE_USER = { uid: 1000, gid: 1000, name: 'user', home: '/home/user' } as const

export interface HostRootfs {
  /** Everything but /usr, which is shown in it for each container. */
  path: string
  /** Directories of the machine that are shown at the same place below `path`: /usr, and what is no link into it. */
  shown: string[]
  /** What is mounted below them now. */
  mountedBelow: string[]
  /** What must not be seen in them, whether it is there or not. */
  hidden: string[]
  /** What is shown instead. */
  empty: string
}

// What programs need to find their libraries, certificates, alternatives and time zone. Nothing here may hold a secret:
// no shadow, no keys, no configuration of package managers or shells, in which people keep tokens.
const ETC = [
  'alternatives',
  'ca-certificates',
  'ca-certificates.conf',
  'debian_version',
  'fonts',
  'gai.conf',
  'java-11-openjdk',
  'java-17-openjdk',
  'java-21-openjdk',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'magic',
  'magic.mime',
  'mime.types',
  'networks',
  'os-release',
  'perl',
  'protocols',
  'python3',
  'python3.9',
  'python3.10',
  'python3.11',
  'python3.12',
  'python3.13',
  'rpc',
  'services',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'timezone',
]

// Below /usr, but meant for this machine only: local configuration, sources, credentials of services.
const HIDDEN = [
  '/usr/etc',
  '/usr/local/etc',
  '/usr/local/src',
  '/usr/src',
  '/usr/lib/credstore',
  '/usr/lib/credstore.encrypted',
]

const TOP_LEVEL = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']

const LARGEST_FILE = 16 * 1024 * 1024
const LARGEST_TREE = 64 * 1024 * 1024

const PASSWD = `root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
${HOST_IMAGE_USER.name}:x:${HOST_IMAGE_USER.uid}:${HOST_IMAGE_USER.gid}::${HOST_IMAGE_USER.home}:/bin/sh
`
const GROUP = `root:x:0:
tty:x:5:
nogroup:x:65534:
${HOST_IMAGE_USER.name}:x:${HOST_IMAGE_USER.gid}:
`

/** Another one for each change of what is laid out. Up to the first, sandboxes could make places for their mounts in it. */
const LAYOUT = '2'
const LAID_OUT = /^[0-9a-f]{16}$/

/**
 * Lays out the host image below `directory` unless the same one is there: it is made anew when one of the copied files
 * changed, under another name, because containers may run on the old one.
 */
export async function prepareHostRootfs(directory: string): Promise<HostRootfs> {
  const key = createHash('sha256').update(LAYOUT).update(PASSWD).update(GROUP)
  const files = await listCopies()
  for (const file of files) key.update(`${file.path}\0${file.kind}\0${file.mark}\n`)
  const path = join(directory, key.digest('hex').slice(0, 16), 'rootfs')
  const empty = join(directory, 'empty')
  await mkdir(empty, { recursive: true, mode: 0o700 })
  if (!(await exists(path))) {
    await removeUnfinished(directory)
    await layOut(path, files)
  }
  const shown: string[] = ['/usr']
  for (const name of TOP_LEVEL) if (await isDirectory(join('/', name))) shown.push(join('/', name))
  const points = new Set(await mountPoints())
  const mountedBelow = [...points].filter((point) => shown.some((each) => point.startsWith(`${each}/`)))
  return { path, shown, mountedBelow, hidden: HIDDEN, empty }
}

/** Takes away what was laid out before the machine or this program changed, but for what containers run on. */
export async function removeOldLayouts(
  directory: string,
  { current, used }: { current: string; used: ReadonlySet<string> },
): Promise<void> {
  const mounted = await mountPoints()
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    const rootfs = join(path, 'rootfs')
    if (!LAID_OUT.test(name) || rootfs === current || used.has(rootfs)) continue
    // Removing goes through mounts, and these would be the machine's own directories.
    if (mounted.some((point) => point.startsWith(`${path}/`))) continue
    await rm(path, { recursive: true, force: true })
  }
}

/** The host image as the image store shows it. */
export function hostImage(): Image {
  return {
    name: HOST_IMAGE,
    id: `sha256:${createHash('sha256').update(HOST_IMAGE).digest('hex')}`,
    sizeBytes: 0,
    entrypoint: [],
    // Runs for ever: a sandbox without a command is there to be executed in.
    cmd: ['/bin/sleep', 'infinity'],
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' },
    workingDir: '/',
    user: '',
    // It is what the machine is now.
    createdAt: 0,
    repoDigests: [],
    grant: 'everyone',
  }
}

interface Copy {
  /** Below /etc. */
  path: string
  kind: 'file' | 'link'
  /** Changes when the content does. */
  mark: string
}

async function listCopies(): Promise<Copy[]> {
  const found: Copy[] = []
  let bytes = 0
  async function visit(path: string): Promise<void> {
    const source = join('/etc', path)
    const info = await lstat(source).catch(() => undefined)
    // What not everybody on the machine may read, nobody in a sandbox shall.
    if (!info || (!info.isSymbolicLink() && (info.mode & 0o004) === 0)) return
    if (info.isSymbolicLink()) {
      const target = await readlink(source)
      // Links into what is not copied, a home or /var, would only dangle and tell about the machine.
      if (!target.startsWith('/') || /^\/(?:usr|etc|lib|bin|sbin)\//.test(target))
        found.push({ path, kind: 'link', mark: target })
    } else if (info.isDirectory()) {
      for (const name of (await readdir(source)).sort()) await visit(join(path, name))
    } else if (info.isFile() && info.size <= LARGEST_FILE && bytes + info.size <= LARGEST_TREE) {
      bytes += info.size
      found.push({ path, kind: 'file', mark: `${info.size} ${info.mtimeMs}` })
    }
  }
  for (const path of ETC) await visit(path)
  return found
}

async function layOut(path: string, copies: Copy[]): Promise<void> {
  const work = `${dirname(path)}.${process.pid}.new`
  const root = join(work, 'rootfs')
  await rm(work, { recursive: true, force: true })
  await mkdir(root, { recursive: true, mode: 0o755 })
  const directory = async (name: string, mode: number): Promise<void> => {
    await mkdir(join(root, name), { recursive: true })
    // mkdir's mode is subject to the umask.
    await chmod(join(root, name), mode)
  }
  for (const name of [
    'usr',
    'etc',
    'proc',
    'sys',
    'dev',
    'run',
    // What nearly every Pod mounts: then nothing is missing.
    'run/secrets',
    'run/secrets/kubernetes.io',
    'run/secrets/kubernetes.io/serviceaccount',
    'home',
    'mnt',
    'opt',
    'srv',
    'var',
    'var/lib',
    'var/cache',
    'var/log',
  ]) {
    await directory(name, 0o755)
  }
  for (const name of ['tmp', 'var/tmp']) await directory(name, 0o1777)
  await directory('root', 0o700)
  await directory('home/user', 0o700)
  await giveHome(join(root, 'home/user'))
  await symlink('/run', join(root, 'var/run'))
  await layTopLevel(root)
  for (const copy of copies) {
    const target = join(root, 'etc', copy.path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    if (copy.kind === 'link') await symlink(copy.mark, target)
    else await copyFile(join('/etc', copy.path), target)
  }
  await writeFile(join(root, 'etc/passwd'), PASSWD)
  await writeFile(join(root, 'etc/group'), GROUP)
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n')
  await writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n')
  await writeFile(join(root, 'etc/resolv.conf'), '')
  await writeFile(join(root, 'etc/hostname'), '')
  await writeFile(join(root, 'dev/termination-log'), '')
  await rename(work, dirname(path)).catch(async (error: unknown) => {
    // Somebody else was as quick with the same content.
    if (!(await exists(path))) throw error
    await rm(work, { recursive: true, force: true })
  })
}

/** A normal user's namespace may have no such user: then everybody in the sandbox may write to it. */
async function giveHome(path: string): Promise<void> {
  try {
    await chown(path, HOST_IMAGE_USER.uid, HOST_IMAGE_USER.gid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
    await chmod(path, 0o777)
  }
}

/** What processes that are no more had begun. */
async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const owner = /\.(\d+)\.new$/.exec(name)?.[1]
    if (owner !== undefined && processStartTime(Number(owner)) === undefined)
      await rm(join(directory, name), { recursive: true, force: true })
  }
}

/** /bin, /sbin and /lib…: links into /usr on a machine of this decade, bound like /usr on an older one. */
async function layTopLevel(root: string): Promise<void> {
  for (const name of TOP_LEVEL) {
    const info = await lstat(join('/', name)).catch(() => undefined)
    if (info?.isSymbolicLink()) await symlink(await readlink(join('/', name)), join(root, name))
    else if (info?.isDirectory()) await mkdir(join(root, name))
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined)
  return info?.isDirectory() ?? false
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
