import { join } from 'node:path'
import { removeOldLayouts } from '../images/host-image.ts'
import { adoptLaunched } from '../monitor/launched-process.ts'
import { mountPoints, unmountBelow } from '../mount-points.ts'
import { finishCheckpoint } from './checkpoint.ts'
import { discardHalfMade } from './containers.ts'
import { newContainerEntry, newSandboxEntry, type SandboxEntry } from './entries.ts'
import { nameSandbox } from './inside.ts'
import { pauseContainerId } from './oci-ids.ts'
import { endOrphanedCommands } from './orphaned-commands.ts'
import type { Registry } from './registry.ts'
import { removeSandbox } from './remove-sandbox.ts'
import { isBeingRestored, noteRestoring } from './restore.ts'
import { type RuntimeParts } from './runtime-parts.ts'
import { imageRootfsOf, killSentry } from './state-files.ts'

export interface RecoverOptions {
  stateDirectory: string
  /** Told of what cannot be taken away, or made to go on: the others do not depend on it. It may throw. */
  onError(error: unknown, where: string): void
}

/**
 * Finds what an earlier process left: adopts what runs, remembers what has ended, takes away what was half made or belongs
 * to nobody.
 */
export async function recoverSandboxes(
  parts: RuntimeParts,
  registry: Registry,
  { stateDirectory, onError }: RecoverOptions,
): Promise<void> {
  const attempt = async (work: Promise<void>, where: string): Promise<void> => {
    await work.catch((error: unknown) => onError(error, where))
  }
  // The monitor first: what it does not adopt has ended, and then says so on disk.
  await parts.monitor.ping()
  await endOrphanedCommands(stateDirectory)
  const containers = await parts.files.containers()
  for (const record of await parts.files.sandboxes()) registry.sandboxes.set(record.spec.id, newSandboxEntry(record))
  const adopted = new Set<string>()
  for (const [id, container] of containers) {
    const sandboxId = container.spec?.sandboxId ?? id.replace(/\.pause$/, '')
    const sandbox = registry.sandboxes.get(sandboxId)
    if (!sandbox || !container.state) continue
    const entry = newContainerEntry(id, container.directory, {
      spec: container.spec,
      ociId: container.ociId,
      imageId: container.imageId,
      state: container.state,
    })
    if (id === pauseContainerId(sandboxId)) sandbox.pause = entry
    else if (container.spec) sandbox.containers.set(id, entry)
    adopted.add(id)
  }
  for (const id of containers.keys())
    if (!adopted.has(id)) await attempt(discardStray(parts, id), `what is left of container ${id}`)
  // A shared sandbox without the process that holds it open was never finished: its maker was not told that it is there.
  // Nor was one that has not all of a snapshot's containers, of which none goes on without the others.
  for (const sandbox of registry.sandboxes.values()) {
    const { pause } = sandbox
    const { id, shared } = sandbox.record.spec
    if (!shared || (pause && !isBeingRestored(pause.directory))) continue
    await attempt(removeSandbox(parts, registry, sandbox), `what is left of sandbox ${id}`)
    registry.sandboxes.delete(id)
  }
  await parts.network.recover(new Set(registry.sandboxes.keys()))
  for (const sandbox of correctAddresses(parts, registry)) {
    const { id } = sandbox.record.spec
    await attempt(removeSandbox(parts, registry, sandbox), `what is left of sandbox ${id}, which has lost its network`)
    registry.sandboxes.delete(id)
  }
  await parts.cgroups.recover(new Set(registry.sandboxes.keys()), onError)
  await attempt(unmountStrays(stateDirectory, adopted), 'what is mounted for containers that are no more')
  await registry.catchUp()
  await Promise.all(
    [...registry.sandboxes.values()].map(async (sandbox) => {
      const finish = async (): Promise<void> => {
        await finishCheckpoint(parts, sandbox)
        await finishRestore(parts, registry, sandbox)
      }
      await attempt(finish(), `sandbox ${sandbox.record.spec.id}, which may stand still`)
    }),
  )
  for (const sandbox of registry.sandboxes.values()) {
    for (const entry of sandbox.containers.values())
      if (entry.state.phase === 'exited') registry.announce(sandbox, entry)
  }
}

/**
 * Notes which address each sandbox has by now, since that of before may be given to another: a crash of the machine may have
 * taken what says whose it is, or of which network. Returns those that have lost theirs.
 */
function correctAddresses(parts: RuntimeParts, registry: Registry): SandboxEntry[] {
  const sandboxes = [...registry.sandboxes.values()]
  for (const { record } of sandboxes) record.ip = parts.network.get(record.spec.id)?.ip
  return sandboxes.filter(({ record: { spec, ip } }) => spec.network.kind === 'pod' && ip === undefined)
}

/**
 * After a restart: what goes on from a snapshot, and has not got its name, gets it. Nobody was told that it is there, but
 * it runs, and what it has done since then would be lost with it. As if it had never been, what has ended or cannot be given
 * its name begins with the snapshot again: as one that has run it would begin without.
 */
async function finishRestore(parts: RuntimeParts, registry: Registry, sandbox: SandboxEntry): Promise<void> {
  const { record, containers } = sandbox
  const { shared, handler, hostname } = record.spec
  if (shared) return
  for (const { ociId, directory } of containers.values()) {
    if (!isBeingRestored(directory)) continue
    try {
      // One that has ended does not answer either.
      await nameSandbox(parts, { ociId, directory, driver: await parts.drivers.sentry(handler), hostname })
      await noteRestoring(directory, false)
    } catch {
      // Under the name of another it must not go on.
      await killSentry(directory)
      await removeSandbox(parts, registry, sandbox)
    }
  }
}

/** Its sandbox may be unknown, so that every runtime is asked to forget it. */
async function discardStray(parts: RuntimeParts, id: string): Promise<void> {
  await startEnded(parts.files.containerDirectory(id))
  for (const driver of await parts.drivers.available()) await discardHalfMade(parts, driver, id)
}

/** A start that an earlier process began may still go on: it is let finish, so that there is something to remove. */
async function startEnded(directory: string): Promise<void> {
  try {
    using launched = adoptLaunched(directory)
    await launched.command
  } catch {
    // It never began, or its reaper was killed.
  }
}

/**
 * Removes layouts of the host image on which none of the sandboxes runs that were found; all of them stay while one is
 * there that does not say what it runs on. What begins meanwhile runs on the present layout, which takes a second to make.
 */
export async function removeUnusedLayouts(
  parts: RuntimeParts,
  registry: Registry,
  stateDirectory: string,
): Promise<void> {
  const containers = [...registry.sandboxes.values()].flatMap((sandbox) => [...sandbox.containers.values()])
  const used = await Promise.all(containers.map(({ directory }) => imageRootfsOf(directory)))
  if (used.includes(undefined)) return
  const { host } = await parts.prepare()
  await removeOldLayouts(join(stateDirectory, 'images', 'host'), {
    current: host.path,
    used: new Set(used.filter((rootfs) => rootfs !== undefined)),
  })
}

/** What is mounted for containers that are no more. */
async function unmountStrays(stateDirectory: string, adopted: Set<string>): Promise<void> {
  const root = join(stateDirectory, 'containers')
  for (const point of await mountPoints()) {
    if (!point.startsWith(`${root}/`)) continue
    const id = point.slice(root.length + 1).split('/')[0] ?? ''
    if (adopted.has(id)) continue
    await unmountBelow(join(root, id))
  }
}
