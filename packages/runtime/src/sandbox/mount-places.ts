/**
 * Places in an image for what is mounted in a container. gVisor's gofer makes those that are missing on this machine, where
 * its root file system is: in what all containers of the image share. So the image is read-only to it, and what it would
 * make lies below the image in an overlay of the container's own.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostRootfs } from '../images/host-image.ts'
import { hostPath, lstatOrNothing, resolveInside } from '../images/rootfs-path.ts'
import type { OverRootfs } from '../native/rootfs-program.ts'
import type { Mount } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'

export interface PlacesOptions {
  /** Of the container. */
  directory: string
  /** Of the image. */
  rootfs: string
  /** Where the image is the host's. */
  host: HostRootfs | undefined
  /** Whether it is a file is looked up where it is not said. */
  mounts: ReadonlyArray<Pick<Mount, 'kind' | 'destination' | 'source'> & { isFile?: boolean }>
  /** Directories in which its processes begin; relative ones and empty ones are none. */
  cwds: readonly string[]
}

export interface Place {
  /** Relative to the root, of byte values. */
  path: string
  isFile: boolean
}

const ROOTFS = 'rootfs'
const SKELETON = 'skeleton'
const LONGEST_NAMED = 200

/** A root file system that has all places, once `layPlaces` has made them. */
export interface PlacedRootfs extends OverRootfs {
  places: Place[]
  skeleton: string
}

/**
 * What a container's mounts need and its image has not; undefined where nothing is missing. The image is the work of
 * strangers: its links are followed within it alone.
 */
export async function placedRootfs(options: PlacesOptions): Promise<PlacedRootfs | undefined> {
  const { directory, rootfs, host } = options
  const places = await missingPlaces(options)
  if (places.length === 0) return undefined
  const skeleton = join(directory, SKELETON)
  const target = join(directory, ROOTFS)
  return {
    places,
    skeleton,
    // The image first: of a directory in both, owner and mode are the image's.
    layers: [rootfs, skeleton],
    target,
    binds: shownOf(host).map((each) => ({ source: join(rootfs, each), target: join(target, each) })),
  }
}

/** In the container's directory, which has to be there. */
export async function layPlaces({ places, skeleton, target }: PlacedRootfs): Promise<void> {
  makeDirectory(Buffer.from(skeleton))
  makeDirectory(Buffer.from(target))
  for (const place of places) await orSay(`/${Buffer.from(place.path, 'latin1').toString()}`, lay(skeleton, place))
}

/** In the order of the mounts, as gVisor makes them. */
async function missingPlaces({ rootfs, host, mounts, cwds }: PlacesOptions): Promise<Place[]> {
  // What is mounted has its own places: of the machine's directories read-only ones, of volumes those of the volume.
  const mounted = shownOf(host)
  const missing: Place[] = []
  const add = async (path: string, isFile: () => Promise<boolean>): Promise<string> => {
    const resolved = resolveInside(rootfs, Buffer.from(path).toString('latin1').split('/')).join('/')
    const isThere = mounted.some((each) => isWithin(resolved, each)) || lstatOrNothing(hostPath(rootfs, resolved))
    if (!isThere) missing.push({ path: resolved, isFile: await isFile() })
    return resolved
  }
  for (const { kind, destination, source = '', isFile } of mounts) {
    // A sentry makes the places of its own file systems in itself.
    if (kind === 'bind')
      mounted.push(
        await orSay(
          destination,
          add(destination, async () => isFile ?? isFileAt(source)),
        ),
      )
  }
  for (const cwd of cwds)
    if (cwd.startsWith('/'))
      await orSay(
        cwd,
        add(cwd, async () => false),
      )
  return missing
}

/** A name that no file can have, for instance. */
async function orSay<T>(path: string, place: Promise<T> | T): Promise<T> {
  try {
    return await place
  } catch (cause) {
    const name = path.length > LONGEST_NAMED ? `${path.slice(0, LONGEST_NAMED)}…` : path
    // A path of the machine is in what the system says.
    const { code, message } = cause as NodeJS.ErrnoException
    const why = cause instanceof RuntimeError ? message : (code ?? message)
    throw new RuntimeError('failed', `${name} cannot be a place to mount at: ${why}`, { cause })
  }
}

/** Of a source that is not there gVisor tells. */
async function isFileAt(source: string): Promise<boolean> {
  return (await stat(source).catch(() => undefined))?.isDirectory() === false
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

/** Directories of the machine that the host image shows, relative to its root. */
function shownOf(host: HostRootfs | undefined): string[] {
  return host?.shown.map((path) => path.slice(1)) ?? []
}

/** Nobody but us writes to a skeleton, and it has no links. */
async function lay(skeleton: string, { path, isFile }: Place): Promise<void> {
  const parts = path.split('/')
  for (let depth = 1; depth <= parts.length - (isFile ? 1 : 0); depth++)
    makeDirectory(hostPath(skeleton, parts.slice(0, depth).join('/')))
  if (isFile) writeFileSync(hostPath(skeleton, path), '', { mode: 0o600, flag: 'a' })
}

function makeDirectory(path: Buffer): void {
  if (lstatOrNothing(path)?.isDirectory()) return
  mkdirSync(path)
  // mkdir's mode is subject to the umask.
  chmodSync(path, 0o755)
}
