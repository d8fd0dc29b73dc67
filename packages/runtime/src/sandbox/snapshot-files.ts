/** What a snapshot is on disk: the files that runsc writes, and one of ours that says what they are. */
import { createHash } from 'node:crypto'
import { open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { arch } from 'node:os'
import { join } from 'node:path'
import { hostArchitecture } from '../native/native-programs.ts'
import { readRecord } from '../read-record.ts'
import { type ContainerSpec, type Mount, type Snapshot, type SnapshotMachine } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { BlankShape } from './blank-shape.ts'
import { fileDigest } from './file-digest.ts'
import type { OciDriver } from './oci-driver.ts'

/** Written last: a directory without it holds nothing of worth. */
const MANIFEST = 'snapshot.json'
const FORMAT = 1
const LARGEST_MANIFEST = 1024 * 1024

export interface SnapshotManifest {
  format: number
  createdAt: number
  machine: SnapshotMachine
  /** Of the container whose processes it holds. */
  imageId: string
  hostname: string
  rights: ContainerRights
  /** Where its first process began, empty where that is as its image says; absent in those of earlier versions. */
  cwd?: string | undefined
  /** Of a shared sandbox, each that ran in it: `imageId`, `rights` and `cwd` are then the first one's. */
  containers?: KeptContainer[]
  /** What a sandbox made ahead for it has to be like; absent in those of earlier versions. */
  shape?: BlankShape
  files: SnapshotFile[]
}

export interface KeptContainer {
  name: string
  /** Absent in those of earlier versions. */
  image?: string
  imageId: string
  rights: ContainerRights
  cwd?: string | undefined
}

/**
 * What a snapshot is for one container. Rejects with code `snapshot-incompatible` where it has none such.
 *
 * @param shared whether that is to be in a sandbox of several
 */
export function partOf(snapshot: StoredSnapshot, name: string | undefined, shared: boolean): StoredSnapshot {
  const { manifest } = snapshot
  const { containers } = manifest
  if (!containers && !shared) return snapshot
  const names = containers ? containers.map((each) => each.name).join(', ') : 'one without a name'
  const kept = shared ? containers?.find((each) => each.name === name) : undefined
  if (!kept)
    throw new RuntimeError(
      'snapshot-incompatible',
      `the snapshot was made of a sandbox with other containers (${names}), not with ${name ?? 'one alone'}: they must be the same`,
    )
  const { imageId, rights, cwd } = kept
  return { ...snapshot, manifest: { ...manifest, imageId, rights, cwd } }
}

/** Where the processes of a snapshot began, as far as it says so: empty where that is as its image says. */
export function cwdOf({ manifest: { cwd, shape } }: StoredSnapshot): string {
  return cwd ?? shape?.cwd ?? ''
}

/** What whoever let the container in looked at: it has to be true of what goes on too. */
export interface ContainerRights {
  user: ContainerSpec['user']
  capabilities: string[]
  privileged: boolean
  noNewPrivileges: boolean
  readOnlyRootfs: boolean
  mounts: Array<Pick<Mount, 'destination' | 'kind' | 'readOnly'>>
}

export function rightsOf(spec: ContainerSpec): ContainerRights {
  const { user, capabilities, privileged, noNewPrivileges, readOnlyRootfs, mounts } = spec
  return {
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids].sort((a, b) => a - b) },
    capabilities: [...capabilities].sort(),
    privileged,
    noNewPrivileges,
    readOnlyRootfs,
    mounts: mounts
      .map(({ destination, kind, readOnly }) => ({ destination, kind, readOnly }))
      .sort((a, b) => (a.destination < b.destination ? -1 : 1)),
  }
}

/** Rejects with code `snapshot-incompatible` where the processes would have other rights than the container is given. */
export function requireSameRights({ manifest }: StoredSnapshot, spec: ContainerSpec): void {
  const given = rightsOf(spec)
  for (const [field, value] of Object.entries(given) as Array<[keyof ContainerRights, unknown]>) {
    const kept = JSON.stringify(manifest.rights[field])
    if (kept === JSON.stringify(value)) continue
    throw new RuntimeError(
      'snapshot-incompatible',
      `the processes of the snapshot have ${field} ${kept}, the container is to have ${JSON.stringify(value)}: both must be the same`,
    )
  }
}

export interface SnapshotFile {
  name: string
  sizeBytes: number
  /** `sha256:` */
  digest: string
}

export interface StoredSnapshot {
  directory: string
  manifest: SnapshotManifest
}

/** What this machine can restore with a runsc. */
export async function snapshotMachine(driver: OciDriver): Promise<SnapshotMachine> {
  return {
    runtimeVersion: driver.tool.version,
    platform: driver.platform ?? '',
    architecture: hostArchitecture(),
    cpuFeatures: await cpuFeatures(),
  }
}

let features: string | undefined

/** A program may have chosen its code by them: with fewer it would stop in the middle. */
async function cpuFeatures(): Promise<string> {
  features ??= await readFeatures()
  return features
}

async function readFeatures(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8')
  const line = new RegExp(`^${arch() === 'arm64' ? 'Features' : 'flags'}\\s*:(.*)$`, 'm').exec(text)?.[1] ?? ''
  return sha256(line.trim().split(/\s+/).sort().join(' '))
}

/**
 * Takes stock of a snapshot that was just written, and puts all of it on the disk for good.
 *
 * @param digests of files whose digests somebody knows, or is about to know, by name
 */
export async function sealSnapshot(
  directory: string,
  description: Omit<SnapshotManifest, 'format' | 'files'>,
  digests: ReadonlyMap<string, Promise<string>>,
): Promise<Snapshot> {
  const names = (await readdir(directory)).sort()
  const synchronised = Promise.all(names.map((name) => synchronise(join(directory, name))))
  // Waited for below.
  synchronised.catch(() => {})
  const files = await Promise.all(names.map((name) => describeFile(directory, name, digests.get(name))))
  const manifest: SnapshotManifest = { format: FORMAT, ...description, files }
  const path = join(directory, MANIFEST)
  await writeFile(`${path}.new`, JSON.stringify(manifest), { mode: 0o600 })
  // It gets its name once all that it speaks of is on the disk.
  await Promise.all([synchronised, synchronise(`${path}.new`)])
  await rename(`${path}.new`, path)
  await synchronise(directory)
  await remember(directory, manifest)
  return snapshotOf({ directory, manifest })
}

async function describeFile(directory: string, name: string, known?: Promise<string>): Promise<SnapshotFile> {
  const path = join(directory, name)
  const digest = await (known ?? fileDigest(path))
  return { name, sizeBytes: (await stat(path)).size, digest }
}

async function synchronise(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export function snapshotOf({ directory, manifest }: StoredSnapshot): Snapshot {
  const { createdAt, files, machine, containers, shape, imageId } = manifest
  const images = containers
    ? containers.flatMap(({ name, image, imageId: id }) =>
        image === undefined ? [] : { container: name, name: image, id },
      )
    : shape
      ? [{ container: undefined, name: shape.image.name, id: imageId }]
      : []
  const digest = sha256(files.map((file) => `${file.name} ${file.sizeBytes} ${file.digest}\n`).join(''))
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return { directory, createdAt, sizeBytes: bytes, digest, machine, images }
}

/**
 * Reads a snapshot and makes sure that each byte of it is what was written. The bytes are read again only where a file
 * is not the one that was looked at before: its inode, size and times tell.
 *
 * Rejects with code `snapshot-damaged`.
 */
export async function openSnapshot(directory: string): Promise<StoredSnapshot> {
  const manifest = await readManifest(directory)
  const known = verified.get(directory)
  if (known !== undefined && known === (await identityOf(directory, manifest))) return { directory, manifest }
  for (const file of manifest.files) await checkFile(directory, file)
  await remember(directory, manifest)
  return { directory, manifest }
}

/** Ids of the images that a snapshot needs; none where nothing whole is there. */
export async function imagesOfSnapshot(directory: string): Promise<string[]> {
  try {
    const { imageId, containers = [] } = await readManifest(directory)
    return [imageId, ...containers.map((each) => each.imageId)]
  } catch (error) {
    if (error instanceof RuntimeError) return []
    throw error
  }
}

/** Rejects with code `snapshot-incompatible` where another machine or version is needed. */
export function requireSameMachine({ manifest: { machine: wanted } }: StoredSnapshot, here: SnapshotMachine): void {
  const names: Record<keyof SnapshotMachine, string> = {
    runtimeVersion: 'gVisor',
    platform: 'the platform',
    architecture: 'the architecture',
    cpuFeatures: "the processor's features",
  }
  for (const [field, name] of Object.entries(names) as Array<[keyof SnapshotMachine, string]>) {
    if (wanted[field] === here[field]) continue
    throw new RuntimeError(
      'snapshot-incompatible',
      `the snapshot was made with ${name} ${wanted[field]}, here is ${here[field]}: it can be restored only with what it was made with`,
    )
  }
}

/** By directory: what its files were when their digests were right. */
const verified = new Map<string, string>()
const MOST_REMEMBERED = 1000

async function remember(directory: string, manifest: SnapshotManifest): Promise<void> {
  const identity = await identityOf(directory, manifest)
  // Whoever is forgotten is read once more.
  if (verified.size >= MOST_REMEMBERED) verified.clear()
  verified.set(directory, identity)
}

async function identityOf(directory: string, { files }: SnapshotManifest): Promise<string> {
  const identities = await Promise.all(
    files.map(async ({ name, digest }) => {
      try {
        const { ino, size, ctimeNs, mtimeNs } = await stat(join(directory, name), { bigint: true })
        return [name, digest, ino, size, ctimeNs, mtimeNs].join(' ')
      } catch {
        return `${name} is missing`
      }
    }),
  )
  return identities.join('\n')
}

async function checkFile(directory: string, { name, sizeBytes, digest }: SnapshotFile): Promise<void> {
  const path = join(directory, name)
  const found = await stat(path).catch(undefinedWhereMissing)
  if (!found) throw damaged(`its file ${name} is missing`)
  if (found.size !== sizeBytes) throw damaged(`its file ${name} has ${found.size} bytes, expected ${sizeBytes}`)
  if ((await fileDigest(path)) !== digest) throw damaged(`its file ${name} is not what was written: the digest differs`)
}

async function readManifest(directory: string): Promise<SnapshotManifest> {
  const path = join(directory, MANIFEST)
  const size = (await stat(path).catch(undefinedWhereMissing))?.size ?? 0
  const manifest = size > LARGEST_MANIFEST ? undefined : await readRecord<SnapshotManifest>(path)
  if (!manifest)
    throw new RuntimeError('snapshot-damaged', `the snapshot in ${directory} has no ${MANIFEST} that is whole`)
  if (manifest.format !== FORMAT) {
    throw new RuntimeError(
      'snapshot-incompatible',
      `the snapshot has format ${manifest.format}, this version reads format ${FORMAT}: make a new one`,
    )
  }
  return manifest
}

/** What cannot be looked at now, as where no more files may be opened, is not gone: nothing else may be left of a sandbox. */
function undefinedWhereMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function damaged(what: string): RuntimeError {
  return new RuntimeError('snapshot-damaged', `the snapshot is damaged: ${what}; make a new one`)
}

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
