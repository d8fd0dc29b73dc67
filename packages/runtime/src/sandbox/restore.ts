import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IMAGE_LINK } from '../monitor/container-files.ts'
import { HELD_LOG } from '../monitor/held-command.ts'
import type { Bind, Held, Started, Supervision } from '../monitor/protocol.ts'
import type { OverRootfs } from '../native/rootfs-program.ts'
import { nameSandbox } from './inside.ts'
import type { OciDriver } from './oci-driver.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { requireSameMachine, type StoredSnapshot, snapshotMachine } from './snapshot-files.ts'
import { withRootfs } from './supervision.ts'

export interface RestoreOptions {
  /** Its command creates the container. */
  supervision: Supervision
  driver: OciDriver
  snapshot: StoredSnapshot
  /** Undefined where nothing goes on yet: others are restored first. */
  hostname: string | undefined
  /** What is mounted before for a container whose file server the restore itself starts: one beside another. */
  rootfs: OverRootfs | undefined
  /** Where it was created ahead, under another directory, what is bound over its places. */
  ahead?: { preparedIn: string; binds: Bind[] } | undefined
}

/** Creates a container, unless that was done ahead, and has the processes of a snapshot go on in it. */
export async function restore(parts: RuntimeParts, options: RestoreOptions): Promise<Started> {
  const { supervision, driver, snapshot } = options
  requireSameMachine(snapshot, await snapshotMachine(driver))
  if (!options.ahead) await parts.monitor.prepare(supervision, await heldRestore(parts, driver, options.rootfs))
  return begin(parts, options)
}

/** The command that is held until there is something to be restored; paths are relative to the container's directory. */
export async function heldRestore(parts: RuntimeParts, driver: OciDriver, rootfs?: OverRootfs): Promise<Held> {
  const { native } = await parts.prepare()
  const command = driver.commandLine(['restore', '--detach', '--bundle=.', `--image-path=${IMAGE_LINK}`], {
    runtimeLog: HELD_LOG,
  })
  return { launch: native.launchHeld, command: withRootfs(native, rootfs, command) }
}

async function begin(
  parts: RuntimeParts,
  { supervision, driver, snapshot, hostname, ahead }: RestoreOptions,
): Promise<Started> {
  const { native } = await parts.prepare()
  const { ociId, directory } = supervision
  // What comes with the snapshot is its source's name.
  const isNamed = hostname !== undefined && snapshot.manifest.hostname !== hostname
  if (isNamed) await noteRestoring(directory, true)
  const started = await parts.monitor.begin(supervision, {
    image: snapshot.directory,
    ...(ahead && { preparedIn: ahead.preparedIn, binds: { program: native.bindMounts, mounts: ahead.binds } }),
  })
  if (isNamed) {
    await nameSandbox(parts, { ociId, directory, driver, hostname })
    await noteRestoring(directory, false)
  }
  return started
}

const RESTORING_FILE = 'restoring'

/**
 * Says that the restore into a directory is not over, or that it is. Of a shared sandbox it is kept with the container that
 * holds it open, until all of the others are there.
 */
export async function noteRestoring(directory: string, restoring: boolean): Promise<void> {
  const path = join(directory, RESTORING_FILE)
  await (restoring ? writeFile(path, '', { mode: 0o600 }) : rm(path, { force: true }))
}

export function isBeingRestored(directory: string): boolean {
  return existsSync(join(directory, RESTORING_FILE))
}
