/** Where one embedded cluster keeps everything: objects, keys, images, volumes, logs, sandboxes. */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { CliError } from '../cli-error.ts'

/** Raised when the layout below changes in a way that an older Caisson cannot read; older layouts are migrated forward. */
const LAYOUT = 1
const LAYOUT_FILE = 'layout.json'

export interface DataDirectory {
  root: string
  /** Of the SQLite database. */
  objects: string
  certificates: string
  kubeconfig: string
  /** Says which process serves this directory. */
  daemon: string
  /** Held by that process, and while what one has left is taken apart. */
  lock: string
  /** Says which process holds the namespaces of a normal user's node. */
  namespaces: string
  log: string
  /** Downloaded tools: runsc, conmon … */
  tools: string
  runtime: string
  kubelet: string
  volumes: string
  /** Of a socket for each process that a sandbox is for. */
  attended: string
  /** Made by `up` where a cluster runs that would end when it is idle: it then stays. */
  stays: string
  /** Of the logs of the cluster's own parts that show as Pods. */
  systemLogs: string
  /** Of the router's socket and credentials: all of the directory that its process sees. */
  router: string
  /** Written by the administrator, if at all. */
  images: string
  node: string
}

/**
 * Where this user's programs keep their state. A variable that is set to nothing says nothing, HOME too: it must not make
 * the working directory a cluster's.
 */
export function stateHome(): string {
  return process.env['XDG_STATE_HOME'] || join(homedir() || userInfo().homedir, '.local', 'state')
}

/**
 * The directory of this user's cluster: `--data-dir`, else `$CAISSON_DATA_DIR`, else below `$XDG_STATE_HOME`
 * (`~/.local/state` where that is unset).
 */
export function dataDirectory(option?: string): DataDirectory {
  const chosen = option || process.env['CAISSON_DATA_DIR'] || join(stateHome(), 'caisson')
  const root = isAbsolute(chosen) ? chosen : resolve(chosen)
  return {
    root,
    objects: join(root, 'objects'),
    certificates: join(root, 'certificates'),
    kubeconfig: join(root, 'kubeconfig'),
    daemon: join(root, 'daemon.json'),
    lock: join(root, 'lock'),
    namespaces: join(root, 'namespaces.json'),
    log: join(root, 'caisson.log'),
    tools: join(root, 'tools'),
    runtime: join(root, 'runtime'),
    kubelet: join(root, 'kubelet'),
    volumes: join(root, 'volumes'),
    attended: join(root, 'attended'),
    stays: join(root, 'stays'),
    systemLogs: join(root, 'system-logs'),
    router: join(root, 'router'),
    images: join(root, 'images.yaml'),
    node: join(root, 'node.yaml'),
  }
}

/** Node's own recursion never ends where a directory takes no others and says that there are none, as /proc does. */
function makeDirectories(path: string): void {
  if (existsSync(path)) return
  makeDirectories(dirname(path))
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Where downloaded tools are: `$CAISSON_TOOLS_DIR`, which several data directories can share, else the directory's own. */
export function toolsDirectory(directory: DataDirectory): string {
  return process.env['CAISSON_TOOLS_DIR'] || directory.tools
}

/** What fetches tools to where this directory looks for them, as it can be typed in this environment. */
export function doctorFix(directory: DataDirectory): string {
  const given = toolsDirectory(directory) === toolsDirectory(dataDirectory()) ? '' : ` --data-dir ${directory.root}`
  return `caisson${given} doctor --fix`
}

function unusable(root: string, why: string, cause?: unknown): CliError {
  return new CliError(
    'usage',
    `the data directory ${root} ${why}: choose another with --data-dir or CAISSON_DATA_DIR`,
    { cause },
  )
}

/** @throws CliError where it is closed to this user, who then cannot know what is in it */
export function requireOpen({ root }: DataDirectory): void {
  try {
    // What is no directory is another matter.
    accessSync(`${root}/.`, constants.X_OK)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') return
    throw new CliError(
      'not-permitted',
      `the data directory ${root} is another user's, and closed to you: choose another with --data-dir or CAISSON_DATA_DIR`,
      { cause },
    )
  }
}

/** @throws CliError where nothing may be written to it, which is not so of a full disk */
export function requireWritable({ root }: DataDirectory): void {
  try {
    accessSync(root, constants.W_OK)
  } catch (cause) {
    throw unwritable(root, cause)
  }
}

/** Whether its disk has no room for anything of a user. */
export function isDiskFull({ root }: DataDirectory): boolean {
  return statfsSync(root).bavail === 0
}

/** Nothing that others use is taken from them: a file, or a directory such as /etc or /tmp, which would become private. */
function requireOurs({ root, ...places }: DataDirectory): void {
  const found = statSync(root, { throwIfNoEntry: false })
  if (!found) return
  if (!found.isDirectory()) throw unusable(root, 'is no directory')
  const isPrivate = (found.mode & 0o077) === 0
  if (isPrivate || existsSync(join(root, LAYOUT_FILE))) return
  // Tools that were fetched and what an administrator has written may be there before the first start.
  const ours = new Set(Object.values(places).map((place) => basename(place)))
  if (readdirSync(root).every((name) => ours.has(name))) return
  throw unusable(root, `is there already, with content that others may read ('chmod 700' says that it is yours alone)`)
}

/** Says that its layout is this version's, where nothing says which it is. */
function writeLayout({ root }: DataDirectory): void {
  const file = join(root, LAYOUT_FILE)
  if (existsSync(file)) return
  // Whole or not at all: half of one would stand in the way of every further start.
  const whole = `${file}.new`
  try {
    writeFileSync(whole, `${JSON.stringify({ layout: LAYOUT })}\n`, { mode: 0o600 })
    renameSync(whole, file)
  } catch (cause) {
    rmSync(whole, { force: true })
    throw unwritable(root, cause)
  }
}

/** Whether something was ever started in it: nothing is left behind in a directory that is somebody else's. */
export function wasUsed({ root }: DataDirectory): boolean {
  return existsSync(join(root, LAYOUT_FILE))
}

/** @throws CliError where a newer Caisson wrote it, or what says so means nothing; not where it was never used */
export function requireLayout({ root }: DataDirectory): void {
  const file = join(root, LAYOUT_FILE)
  if (!existsSync(file)) return
  const layout = readLayout(file, root)
  if (layout !== undefined && layout <= LAYOUT) return
  throw new CliError(
    'failed',
    `${root} was written by a newer Caisson (layout ${layout}, this one reads up to ${LAYOUT}): use that one, or another --data-dir`,
  )
}

function readLayout(file: string, root: string): number | undefined {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { layout?: number }).layout
  } catch (cause) {
    throw new CliError(
      'failed',
      `${file} cannot be read (${(cause as Error).message}): restore it, or delete ${root} with all that is in it, or use another --data-dir`,
      { cause },
    )
  }
}

/** What a process that serves the directory writes its log to, opened for that. */
export function openLog(directory: DataDirectory): number {
  try {
    return openSync(directory.log, 'a', 0o600)
  } catch (cause) {
    throw unwritable(directory.root, cause)
  }
}

/** @param problem what is wrong where the disk is not full */
function unwritable(root: string, cause: unknown, problem?: string): CliError {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return diskFull(root, cause)
  }
  return unusable(root, problem ?? `cannot be written to (${message})`, cause)
}

export function diskFull(root: string, cause?: unknown): CliError {
  const message = `the disk of ${root} is full: free some space, or choose another with --data-dir or CAISSON_DATA_DIR`
  return new CliError('failed', message, { cause })
}

/**
 * Makes the directory, private to the user, and checks that its layout is one that this version reads.
 *
 * @throws CliError where a newer Caisson wrote it, or it cannot be made
 */
export function prepareDataDirectory(directory: DataDirectory): void {
  requireOpen(directory)
  try {
    requireOurs(directory)
    makeDirectories(directory.root)
    // It may have been there already, with the umask's idea of privacy.
    chmodSync(directory.root, 0o700)
  } catch (cause) {
    if (cause instanceof CliError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const isThere = existsSync(directory.root)
    throw unwritable(directory.root, cause, `cannot be ${isThere ? 'written to' : 'made'} (${code})`)
  }
  writeLayout(directory)
  requireLayout(directory)
}
