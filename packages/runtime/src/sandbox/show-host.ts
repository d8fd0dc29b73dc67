/**
 * This machine's directories in the host image. Whoever serves a sandbox its files is root, and so is whoever is in a
 * container of runc: they see these directories as somebody sees them who owns nothing.
 */
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostRootfs } from '../images/host-image.ts'
import { installShowHost } from '../native/native-programs.ts'
import { type ShownDirectory, type Stranger, strangerOf } from '../native/show-program.ts'
import type { OciSpec } from '../oci/spec.ts'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'

export interface ShownHost extends HostRootfs {
  /** In its layout, for whoever has a mount namespace of its own. */
  inLayout: ShownDirectory[]
  /** Program that shows the same in the directory where it runs. */
  program: string
  /** Why nothing of the machine can be shown. */
  refusal: string | undefined
}

const VIEW = 'host'

/**
 * How the machine is shown, found out by trying.
 *
 * @param directory for the program
 */
export async function showHost(host: HostRootfs, directory: string): Promise<ShownHost> {
  const stranger = strangerOf({
    uid: await readFile('/proc/self/uid_map', 'utf8'),
    gid: await readFile('/proc/self/gid_map', 'utf8'),
  })
  const shownTo = async (as: Stranger | undefined): Promise<Omit<ShownHost, 'refusal'>> => ({
    ...host,
    inLayout: showIn(host, host.path, as),
    program: await installShowHost(directory, showIn(host, '.', as)),
  })
  const shown = await shownTo(stranger)
  const refusal = stranger ? await refusalOf(shown) : 'this user namespace has no user but root'
  if (refusal === undefined) return { ...shown, refusal }
  // A normal user's node, to which root's files are those of a stranger: it can open no more than that user.
  if ((await stat('/usr')).uid !== 0) return { ...(await shownTo(undefined)), refusal: undefined }
  return { ...shown, inLayout: [], refusal }
}

function showIn(host: HostRootfs, path: string, as: Stranger | undefined): ShownDirectory[] {
  const { shown, mountedBelow, hidden, empty } = host
  return [
    ...shown.map((each) => ({ source: each, target: join(path, each), as })),
    // A bind has them with it.
    ...(as ? mountedBelow : []).map((each) => ({ source: each, target: join(path, each), as, mayLack: true })),
    ...hidden.map((each) => ({ source: empty, target: join(path, each), mayLack: true })),
  ]
}

async function refusalOf({ path, program }: Omit<ShownHost, 'refusal'>): Promise<string | undefined> {
  const { exitCode, stderr } = await runCommand('unshare', ['--mount', '--propagation', 'slave', '--', program], {
    cwd: path,
  })
  if (exitCode === 0) return undefined
  return stderr.trim() || 'its kernel mounts no overlay of /usr'
}

/** Throws a RuntimeError where the machine's directories cannot be shown. */
export function expectShown({ refusal }: ShownHost): void {
  if (refusal !== undefined)
    throw new RuntimeError(
      'failed',
      `this machine's programs cannot be shown without what not everybody may read of them (${refusal}): name another image`,
    )
}

/**
 * Mounts on the machine what `hostMounts` binds: for runtimes that do not begin where that is mounted already.
 * @param directory of the container, with which it goes
 */
export async function mountHost({ program, shown }: ShownHost, directory: string): Promise<void> {
  const view = join(directory, VIEW)
  for (const each of shown) await mkdir(join(view, each), { recursive: true, mode: 0o700 })
  const { exitCode } = await runCommand(program, [], { cwd: view })
  if (exitCode !== 0) throw new RuntimeError('failed', "this machine's programs could not be mounted")
}

/** @param directory of the container */
export function hostMounts({ shown }: ShownHost, directory: string): OciSpec['mounts'] {
  return shown.map((each) => ({
    destination: each,
    type: 'bind',
    source: join(directory, VIEW, each),
    options: ['rbind', 'rprivate', 'nosuid', 'nodev', 'ro'],
  }))
}
