/**
 * A sandbox that was made ahead for the processes of some snapshot: a sentry in which nothing has run, with the root file
 * system of an image and, where volumes and files will be, places that are empty. It knows nothing of who will have it.
 * Whatever is bound over those places later is seen in it, because what serves it its files follows our mounts.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bind } from '../monitor/protocol.ts'
import { unmountBelow } from '../mount-points.ts'
import type { ReservedNetwork } from '../network/network.ts'
import { containerBundle } from '../oci/bundle.ts'
import { type ContainerSpec, type Mount, type SandboxSpec } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { BlankShape } from './blank-shape.ts'
import { layPlaces, placedRootfs } from './mount-places.ts'
import { throughReadOnlyBinds } from './read-only-binds.ts'
import { heldRestore } from './restore.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { supervisionOf } from './supervision.ts'

export interface Blank {
  /** Of its container, its control group and its directory. Not an id that a caller could choose: it has a dot. */
  id: string
  shape: BlankShape
  directory: string
  /** Until its sandbox has it. */
  network: ReservedNetwork | undefined
}

const SOURCES = 'sources'

export async function makeBlank(parts: RuntimeParts, shape: BlankShape): Promise<Blank> {
  const id = `${randomBytes(8).toString('hex')}.blank`
  const directory = parts.files.containerDirectory(id)
  const network = shape.network === 'pod' ? await parts.network.reserve() : undefined
  const blank: Blank = { id, shape, directory, network }
  try {
    const driver = await parts.drivers.sentry('runsc')
    await parts.cgroups.create(id, {})
    const { host } = await parts.prepare()
    const placed = await parts.images.withRootfs(shape.image, async ({ image, rootfs, isHost }) => {
      const placed = await placedRootfs({
        directory,
        rootfs,
        host: isHost ? host : undefined,
        mounts: shape.mounts,
        cwds: [shape.cwd ?? image.workingDir],
      })
      const bundle = containerBundle({
        sandbox: nobodysSandbox(blank),
        container: nobodysContainer(blank),
        image: { ...image, env: {} },
        rootfs: placed?.target ?? rootfs,
        cgroupsPath: parts.cgroups.containerPath(id, id),
        networkNamespace: network?.namespace,
        joined: { sandbox: undefined, processes: undefined },
        root: undefined,
        scratch: isHost ? parts.images.hostScratch : [],
        followsMounts: true,
      })
      await parts.files.createContainer(id, { bundle, rootfs })
      return placed
    })
    if (placed) await layPlaces(placed)
    await laySources(parts, blank)
    const supervision = await supervisionOf(parts, {
      driver,
      id,
      ociId: id,
      directory,
      group: id,
      isolated: shape.network === 'none',
      root: id,
      make: ['create'],
      rootfs: placed,
      streams: { stdin: shape.stdin },
    })
    await parts.monitor.prepare(supervision, await heldRestore(parts, driver))
    return blank
  } catch (error) {
    await discardBlank(parts, blank)
    throw error
  }
}

/** Takes it away with all that it has. */
export async function discardBlank(parts: RuntimeParts, blank: Blank): Promise<void> {
  const { id, directory, network } = blank
  const driver = await parts.drivers.get('runsc')
  await parts.monitor.forget({ id, directory })
  await driver.remove(id, directory)
  await unmountBelow(directory, parts.monitor.run)
  await parts.files.removeContainer(id)
  await parts.cgroups.remove(id)
  if (network) await parts.network.unreserve(network)
}

/** What is bound over the places of a sandbox made ahead, once its directory is that of the container. */
export function bindsOver(directory: string, mounts: readonly Mount[]): Bind[] {
  return throughReadOnlyBinds(directory, mounts).flatMap(({ kind, source = '' }, index) =>
    kind === 'bind' ? [{ source, target: placeOf(directory, index) }] : [],
  )
}

const placeOf = (directory: string, index: number): string => join(directory, SOURCES, String(index))

async function laySources({ monitor }: RuntimeParts, { directory, shape }: Blank): Promise<void> {
  const root = join(directory, SOURCES)
  await mkdir(root, { mode: 0o700 })
  for (const [index, { kind, isFile }] of shape.mounts.entries()) {
    const place = placeOf(directory, index)
    if (kind !== 'bind') continue
    if (isFile) await writeFile(place, '', { mode: 0o600 })
    else await mkdir(place, { mode: 0o700 })
  }
  const { exitCode, stderr } = await monitor.run('mount', ['--bind', '--make-shared', '--', root, root])
  if (exitCode === 0) return
  await rm(root, { recursive: true })
  throw new RuntimeError('failed', `could not mount the places of a sandbox made ahead: ${stderr.trim()}`)
}

function nobodysSandbox({ id, shape }: Blank): SandboxSpec {
  return {
    id,
    handler: 'runsc',
    hostname: 'blank',
    network: { kind: shape.network },
    shared: false,
    limits: {},
    labels: {},
  }
}

/** Of its processes and their rights nothing stands here: those come with the snapshot. */
function nobodysContainer({ id, shape, directory }: Blank): ContainerSpec {
  return {
    id,
    sandboxId: id,
    image: shape.image.name,
    imageId: shape.image.id,
    args: ['/'],
    env: {},
    cwd: '/',
    user: { uid: 65_534, gid: 65_534, additionalGids: [] },
    mounts: shape.mounts.map((mount, index) => ({
      ...mount,
      ...(mount.kind === 'bind' && { source: placeOf(directory, index) }),
    })),
    readOnlyRootfs: shape.readOnlyRootfs,
    noNewPrivileges: true,
    capabilities: [],
    privileged: shape.privileged,
    limits: {},
    tty: false,
    stdin: shape.stdin,
    stdinOnce: false,
    logPath: join(directory, 'output.log'),
    labels: {},
  }
}
