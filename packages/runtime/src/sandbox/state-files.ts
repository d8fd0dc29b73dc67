import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { emptyWhereMissing } from '../empty-where-missing.ts'
import { EXIT_FILE, SUPERVISION_FILE, type SupervisionRecord } from '../monitor/container-files.ts'
import { killProcess } from '../monitor/process-identity.ts'
import { readRecord } from '../read-record.ts'
import type { ContainerSpec, ContainerState, SandboxSpec } from '../runtime.ts'
import { ociId } from './oci-ids.ts'
import { removeDeep } from './remove-deep.ts'

/** What is on disk of a sandbox. */
export interface SandboxRecord {
  spec: SandboxSpec
  ip: string | undefined
  createdAt: number
}

/** What is on disk of a container; `state` is undefined where its start was not finished. */
export interface ContainerRecord {
  /** Undefined for the process that holds a shared sandbox open. */
  spec: ContainerSpec | undefined
  directory: string
  /** What the OCI runtime calls it, as far as that is known. */
  ociId: string
  imageId: string
  state: ContainerState | undefined
  supervision: SupervisionRecord | undefined
}

/** The files below the state directory. Every one of them is written in one step, every directory is private. */
export interface StateFiles {
  containerDirectory(containerId: string): string
  writeSandbox(record: SandboxRecord): Promise<void>
  removeSandbox(sandboxId: string): Promise<void>
  sandboxes(): Promise<SandboxRecord[]>
  /** Makes the directory of a container that is not there yet. `rootfs` is its image's. */
  createContainer(
    containerId: string,
    files: { spec?: ContainerSpec; imageId?: string; bundle: unknown; rootfs?: string },
  ): Promise<string>
  /** Notes what a container is by now. */
  writeContainer(files: { spec: ContainerSpec; imageId: string }): Promise<void>
  /** Gives what was made ahead to a container that is not there yet. */
  adoptContainer(blankId: string, files: { spec: ContainerSpec; imageId: string }): Promise<string>
  removeContainer(containerId: string): Promise<void>
  containers(): Promise<Map<string, ContainerRecord>>
}

const SPEC_FILE = 'spec.json'
/** To the root file system of the image that a container was made on: it goes with what was made ahead. */
const ROOTFS_LINK = 'image-rootfs'

export async function openStateFiles(stateDirectory: string): Promise<StateFiles> {
  const sandboxRoot = join(stateDirectory, 'sandboxes')
  const containerRoot = join(stateDirectory, 'containers')
  for (const directory of [stateDirectory, sandboxRoot, containerRoot, join(stateDirectory, 'overlay')]) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  }
  const sandboxFile = (id: string): string => join(sandboxRoot, `${id}.json`)
  const containerDirectory = (id: string): string => join(containerRoot, id)

  return {
    containerDirectory,
    writeSandbox: (record) => writeFileAtomically(sandboxFile(record.spec.id), JSON.stringify(record)),
    removeSandbox: (id) => rm(sandboxFile(id), { force: true }),
    async sandboxes() {
      const all = await readdir(sandboxRoot)
      // Of a process that was killed before it had written it: nobody was told that there is such a sandbox.
      for (const name of all.filter((each) => each.endsWith('.new'))) await rm(join(sandboxRoot, name), { force: true })
      const names = all.filter((name) => name.endsWith('.json'))
      const records = await Promise.all(names.map((name) => readRecord<SandboxRecord>(join(sandboxRoot, name))))
      return records.filter((record) => record !== undefined)
    },
    async createContainer(id, { spec, imageId = '', bundle, rootfs }) {
      const directory = containerDirectory(id)
      await mkdir(directory, { mode: 0o700 })
      if (rootfs !== undefined) await symlink(rootfs, join(directory, ROOTFS_LINK))
      await writeFile(join(directory, 'config.json'), JSON.stringify(bundle), { mode: 0o600 })
      if (spec) await writeFileAtomically(join(directory, SPEC_FILE), JSON.stringify({ spec, imageId }))
      return directory
    },
    writeContainer: ({ spec, imageId }) =>
      writeFileAtomically(join(containerDirectory(spec.id), SPEC_FILE), JSON.stringify({ spec, imageId })),
    async adoptContainer(blankId, { spec, imageId }) {
      const [before, directory] = [containerDirectory(blankId), containerDirectory(spec.id)]
      // Before it has the name: what has one has a spec.
      await writeFileAtomically(join(before, SPEC_FILE), JSON.stringify({ spec, imageId }))
      await rename(before, directory)
      return directory
    },
    async removeContainer(id) {
      // Out of the way in one step: half a directory would look like a container.
      const doomed = join(stateDirectory, `.removed-${randomBytes(6).toString('hex')}`)
      try {
        await rename(containerDirectory(id), doomed)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
        throw error
      }
      await removeDeep(doomed)
    },
    async containers() {
      const found = new Map<string, ContainerRecord>()
      for (const entry of await readdir(containerRoot, { withFileTypes: true })) {
        if (entry.isDirectory()) found.set(entry.name, await readContainer(containerDirectory(entry.name)))
      }
      for (const name of await readdir(stateDirectory)) {
        if (name.startsWith('.removed-')) await removeDeep(join(stateDirectory, name))
      }
      return found
    },
  }
}

/** Ids of images that are needed although no container runs on them. */
export type ImagesKept = () => Promise<ReadonlySet<string>>

/** Ids of the images on which containers run, of this process or another, and of those that are kept. */
export async function usedImages(stateDirectory: string, kept?: ImagesKept): Promise<Set<string>> {
  const root = join(stateDirectory, 'containers')
  const ids = await Promise.all(
    (await readdir(root).catch(emptyWhereMissing)).map(async (name) => {
      const stored = await readRecord<{ imageId: string }>(join(root, name, SPEC_FILE))
      return stored?.imageId
    }),
  )
  return new Set([...ids.filter((id) => id !== undefined), ...((await kept?.()) ?? [])])
}

/** The root file system of the image on which a container was made; undefined where an earlier version did not say. */
export async function imageRootfsOf(directory: string): Promise<string | undefined> {
  return readlink(join(directory, ROOTFS_LINK)).catch(() => undefined)
}

/** What the files of one container say about it. */
export async function readContainer(directory: string): Promise<ContainerRecord> {
  const [stored, supervision, exited] = await Promise.all([
    readRecord<{ spec: ContainerSpec; imageId: string }>(join(directory, SPEC_FILE)),
    readRecord<SupervisionRecord>(join(directory, SUPERVISION_FILE)),
    readRecord<ContainerState>(join(directory, EXIT_FILE)),
  ])
  const running = supervision?.running
  const state =
    exited ?? (running ? { phase: 'running' as const, pid: running.pid, startedAt: running.startedAt } : undefined)
  const known = supervision?.supervision.ociId ?? ociId(basename(directory))
  return { spec: stored?.spec, imageId: stored?.imageId ?? '', directory, ociId: known, state, supervision }
}

async function writeFileAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  await writeFile(temporary, text, { mode: 0o600 })
  await rename(temporary, path)
}

/** Kills the first process of a container, as far as one is known: its monitor hears of it. */
export async function killSentry(directory: string): Promise<void> {
  const running = (await readContainer(directory)).supervision?.running
  if (running) killProcess(running.pid, running.startTime, 'SIGKILL')
}
