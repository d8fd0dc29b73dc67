import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { join } from 'node:path'
import { EXEC_PREFIX } from '../monitor/exec-session.ts'
import { isSameProcess, killProcess } from '../monitor/process-identity.ts'
import type { DirectExec, ExecRequest } from '../monitor/protocol.ts'
import { unmountBelow } from '../mount-points.ts'
import { type BundleOptions, containerBundle, pauseBundle } from '../oci/bundle.ts'
import { ociProcess } from '../oci/process.ts'
import { type ContainerSpec, type ExecSpec, type ProcessStreams } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { settlesWithin } from '../settles-within.ts'
import { withTask } from '../shim/task-service.ts'
import { type Blank, bindsOver, discardBlank } from './blank.ts'
import { blankShape, shapeKey } from './blank-shape.ts'
import { directExec } from './direct-exec.ts'
import type { Driver } from './drivers.ts'
import { type ContainerEntry, newContainerEntry, rootOciId, type SandboxEntry } from './entries.ts'
import { nameSandbox, setParameters } from './inside.ts'
import { layPlaces, type PlacedRootfs, placedRootfs } from './mount-places.ts'
import { signalSentryContainer } from './oci-driver.ts'
import { ociId, pauseContainerId } from './oci-ids.ts'
import { openProcessStreams } from './process-streams.ts'
import { mountReadOnlyBinds, throughReadOnlyBinds } from './read-only-binds.ts'
import { noteRestoring, restore } from './restore.ts'
import { mountRootfs } from './rootfs.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { expectShown, hostMounts, mountHost, type ShownHost } from './show-host.ts'
import { cwdOf, type StoredSnapshot } from './snapshot-files.ts'
import { readContainer } from './state-files.ts'
import { supervisionOf } from './supervision.ts'

// Killed means gone within milliseconds; a machine that swaps gets some patience before its sentry is killed itself.
const KILL_PATIENCE_MS = 10_000
const SIGKILL = constants.signals.SIGKILL

/** Starts the process that holds a shared sandbox open. */
export async function startPause(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  snapshot?: StoredSnapshot,
): Promise<ContainerEntry> {
  const { spec } = sandbox.record
  const id = pauseContainerId(spec.id)
  const { native } = await parts.prepare()
  const driver = await parts.drivers.get(spec.handler)
  const bundle = pauseBundle(spec, {
    rootfs: native.pauseRootfs,
    cgroupsPath: parts.cgroups.containerPath(spec.id, id),
    networkNamespace: parts.network.get(spec.id)?.namespace,
  })
  // What goes on from a snapshot gets them when it does.
  const isTuned = driver.kind === 'oci' && driver.isSentry && !snapshot && Object.keys(spec.sysctls ?? {}).length > 0
  try {
    // Within: where what an earlier process left could not be taken away, it is now.
    const directory = await parts.files.createContainer(id, { bundle })
    // Where this process ends before they are set, the next one takes it for what was begun and never finished.
    if (snapshot || isTuned) await noteRestoring(directory, true)
    const pause = await start({ parts, sandbox, id, directory, spec: undefined, imageId: '', snapshot })
    if (!isTuned) return pause
    await setParameters(parts, { ociId: pause.ociId, directory, driver }, spec.sysctls ?? {})
    await noteRestoring(directory, false)
    return pause
  } catch (error) {
    await discardHalfMade(parts, driver, id)
    throw error
  }
}

/** One of the containers of a shared sandbox has been restored; with the last one all of them go on. */
export async function noteRestored(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { entry, snapshot }: { entry: ContainerEntry; snapshot: StoredSnapshot },
): Promise<void> {
  const { pause, awaits } = sandbox
  const name = entry.spec?.name ?? ''
  if (!pause || [...awaits].some((each) => each !== name)) return void awaits.delete(name)
  const { handler, hostname, sysctls = {} } = sandbox.record.spec
  const { ociId, directory } = pause
  const first = { ociId, directory, driver: await parts.drivers.sentry(handler) }
  if (snapshot.manifest.hostname !== hostname) await nameSandbox(parts, { ...first, hostname })
  await setParameters(parts, first, sysctls)
  await noteRestoring(directory, false)
  // Until now none was said to run.
  awaits.clear()
}

/** Creates and starts a container in a sandbox. */
export async function startContainer(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  spec: ContainerSpec,
  snapshot?: StoredSnapshot,
): Promise<ContainerEntry> {
  if (!sandbox.blank) parts.cgroups.expectJoin()
  const [{ host }, driver] = await Promise.all([parts.prepare(), parts.drivers.get(sandbox.record.spec.handler)])
  const networkNamespace = parts.network.get(sandbox.record.spec.id)?.namespace
  const isFirst = !sandbox.record.spec.shared && spec.beside === undefined
  if (isFirst && sandbox.containers.size > 0) await parts.network.renew(sandbox.record.spec.id)
  const options = { parts, sandbox, spec, driver, host, networkNamespace, snapshot }
  const blank = await takeBlank(options)
  try {
    return await makeContainer({ ...options, blank })
  } catch (error) {
    await discardHalfMade(parts, driver, spec.id)
    if (!blank || !(error instanceof RuntimeError) || error.code !== 'failed') throw error
  }
  // It was killed while it waited, or its monitor was: what is made now has no such past.
  await parts.network.renew(sandbox.record.spec.id)
  try {
    return await makeContainer(options)
  } catch (error) {
    await discardHalfMade(parts, driver, spec.id)
    throw error
  }
}

/** The one that the sandbox was given, where it fits what comes into it. */
async function takeBlank({ parts, sandbox, spec, snapshot }: MakeOptions): Promise<Blank | undefined> {
  const { blank } = sandbox
  if (!blank) return undefined
  sandbox.blank = undefined
  const imageId = snapshot?.manifest.imageId ?? ''
  const fits = snapshot && shapeKey(await blankShape(sandbox.record.spec, spec, imageId)) === shapeKey(blank.shape)
  if (fits) return blank
  await discardBlank(parts, blank)
  return undefined
}

interface MakeOptions {
  parts: RuntimeParts
  sandbox: SandboxEntry
  spec: ContainerSpec
  driver: Driver
  host: ShownHost
  networkNamespace: string | undefined
  snapshot: StoredSnapshot | undefined
  blank?: Blank | undefined
}

async function makeContainer(options: MakeOptions): Promise<ContainerEntry> {
  const { parts, sandbox, spec, driver, host, networkNamespace, snapshot, blank } = options
  const directory = parts.files.containerDirectory(spec.id)
  // With the container on disk nobody can remove its image any more.
  const { image, rootfs, placed, isHost } = await parts.images.withRootfs(
    { name: spec.image, id: spec.imageId },
    async (unpacked) => {
      if (snapshot && snapshot.manifest.imageId !== unpacked.image.id) {
        throw new RuntimeError(
          'snapshot-incompatible',
          `the snapshot was made on image ${snapshot.manifest.imageId}, ${spec.image} is ${unpacked.image.id} now: make a new one`,
        )
      }
      if (unpacked.isHost) expectShown(host)
      if (blank) {
        await parts.files.adoptContainer(blank.id, { spec, imageId: unpacked.image.id })
        return { ...unpacked, placed: undefined }
      }
      const placed = driver.isSentry
        ? await placedRootfs({
            directory,
            rootfs: unpacked.rootfs,
            host: unpacked.isHost ? host : undefined,
            mounts: spec.mounts,
            // A snapshot's processes may have begun elsewhere, and go on there.
            cwds: [spec.cwd, ...(snapshot ? [cwdOf(snapshot)] : [])].map((cwd) => cwd || unpacked.image.workingDir),
          })
        : undefined
      const bundle = containerBundle({
        sandbox: sandbox.record.spec,
        container: driver.isSentry ? { ...spec, mounts: throughReadOnlyBinds(directory, spec.mounts) } : spec,
        image: unpacked.image,
        rootfs: driver.isSentry ? (placed?.target ?? unpacked.rootfs) : join(directory, 'rootfs'),
        cgroupsPath: parts.cgroups.containerPath(sandbox.record.spec.id, spec.id),
        networkNamespace,
        joined: joinedProcesses(sandbox, spec),
        root: rootOf(sandbox, spec),
        scratch: unpacked.isHost ? parts.images.hostScratch : [],
      })
      if (unpacked.isHost && !driver.isSentry) bundle.mounts.unshift(...hostMounts(host, directory))
      const { image, rootfs } = unpacked
      await parts.files.createContainer(spec.id, { spec, imageId: image.id, bundle, rootfs })
      return { ...unpacked, placed }
    },
  )
  if (placed) await layPlaces(placed)
  if (driver.isSentry) await mountReadOnlyBinds(directory, spec.mounts, parts.monitor.run)
  else {
    await mountRootfs({ directory, lower: rootfs, devices: spec.privileged })
    if (isHost) await mountHost(host, directory)
  }
  return start({ parts, sandbox, id: spec.id, directory, spec, imageId: image.id, snapshot, blank, placed })
}

/** Undefined for a container that has a sentry of its own. */
function rootOf(sandbox: SandboxEntry, spec: ContainerSpec): string | undefined {
  const own = ociId(spec.id)
  const root = rootOciId(sandbox, { ociId: own, spec })
  return root === own ? undefined : root
}

function joinedProcesses(sandbox: SandboxEntry, { beside, processesOf }: ContainerSpec): BundleOptions['joined'] {
  const running = (entry: ContainerEntry | undefined): number | undefined =>
    entry?.state.phase === 'running' ? entry.state.pid : undefined
  const named = (id: string | undefined): number | undefined => {
    if (id === undefined) return undefined
    const pid = running(sandbox.containers.get(id))
    if (pid !== undefined) return pid
    throw new RuntimeError('not-found', `container ${id} does not run in sandbox ${sandbox.record.spec.id}`)
  }
  return { sandbox: named(beside) ?? running(sandbox.pause), processes: named(processesOf) }
}

interface StartOptions {
  parts: RuntimeParts
  sandbox: SandboxEntry
  id: string
  directory: string
  spec: ContainerSpec | undefined
  imageId: string
  /** Processes that go on in it, in place of a new one. */
  snapshot?: StoredSnapshot | undefined
  /** Made ahead for them; the directory was its own. */
  blank?: Blank | undefined
  /** Where its image has no place for something that is mounted. */
  placed?: PlacedRootfs | undefined
}

async function start(options: StartOptions): Promise<ContainerEntry> {
  const { parts, sandbox, id, directory, spec, imageId, snapshot, blank, placed } = options
  const sandboxSpec = sandbox.record.spec
  const driver = await parts.drivers.get(sandboxSpec.handler)
  const own = blank?.id ?? ociId(id)
  const root = rootOciId(sandbox, { ociId: own, spec })
  const supervision = await supervisionOf(parts, {
    driver,
    id,
    ociId: own,
    directory,
    group: sandboxSpec.id,
    isolated: driver.isSentry && sandboxSpec.network.kind === 'none',
    root,
    make: snapshot ? ['create'] : ['run', '--detach'],
    rootfs: placed,
    streams: spec ?? {},
  })
  const ahead = blank && { preparedIn: blank.directory, binds: bindsOver(directory, spec?.mounts ?? []) }
  // In a shared sandbox nothing goes on before all are there.
  const hostname = sandboxSpec.shared ? undefined : sandboxSpec.hostname
  const started =
    snapshot && driver.kind === 'oci'
      ? await restore(parts, {
          supervision,
          driver,
          snapshot,
          hostname,
          rootfs: root === own ? undefined : placed,
          ahead,
        })
      : await parts.monitor.start(supervision)
  return newContainerEntry(id, directory, { ociId: own, spec, imageId, state: { phase: 'running', ...started } })
}

/** Takes away a container that did not get to run, or ran and has ended. */
async function discard(options: { parts: RuntimeParts; driver: Driver; id: string; directory: string }): Promise<void> {
  const { parts, driver, id, directory } = options
  const known = await readContainer(directory)
  await parts.monitor.forget({ id, directory })
  await driver.remove(known.ociId, directory)
  await unmountBelow(directory, parts.monitor.run)
  await parts.files.removeContainer(id)
}

/** Takes away a container whose start was cut off. */
export async function discardHalfMade(parts: RuntimeParts, driver: Driver, id: string): Promise<void> {
  await discard({ parts, driver, id, directory: parts.files.containerDirectory(id) })
}

async function signalContainerEntry(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  options: { entry: ContainerEntry; signal: number },
): Promise<void> {
  const { entry, signal } = options
  if (entry.state.phase !== 'running') return
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  if (driver.isSentry) {
    await signalSentryContainer({
      driver,
      stateFile: driver.stateFile(entry.ociId, rootOciId(sandbox, entry)),
      containerId: entry.ociId,
      signal,
      runtimeLog: join(entry.directory, 'runtime.log'),
    })
    return
  }
  if (driver.kind === 'shim') {
    // That it is gone already is what the caller finds out from its exit.
    await withTask(entry.directory, (task) => task.kill({ id: entry.ociId, signal })).catch(() => {})
    return
  }
  const { supervision } = await readContainer(entry.directory)
  if (supervision?.running) killProcess(supervision.running.pid, supervision.running.startTime, signal)
}

/**
 * Sends a signal and waits for the container's end, for so long in all: a sentry that hangs does not take the signal
 * either. Rejects where the signal could not be sent.
 */
export async function endsOfSignal(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  options: { entry: ContainerEntry; signal: number; withinMs: number },
): Promise<boolean> {
  const { entry, withinMs } = options
  const sent = signalContainerEntry(parts, sandbox, options).then(() => entry.exited.promise)
  return await settlesWithin(Promise.race([sent, entry.exited.promise]), withinMs)
}

/** KILL, and if that does not help KILL for the sentry that does not answer. Resolves when it is gone. */
export async function killContainer(parts: RuntimeParts, sandbox: SandboxEntry, entry: ContainerEntry): Promise<void> {
  if (entry.state.phase !== 'running') return
  await parts.monitor.expectKill(entry.id)
  if (await endsOfSignal(parts, sandbox, { entry, signal: SIGKILL, withinMs: KILL_PATIENCE_MS })) return
  const { supervision } = await readContainer(entry.directory)
  const running = supervision?.running
  if (running && isSameProcess(running.pid, running.startTime)) killProcess(running.pid, running.startTime, 'SIGKILL')
  await entry.exited.promise
}

export async function removeContainerEntry(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  entry: ContainerEntry,
): Promise<void> {
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  await discard({ parts, driver, id: entry.id, directory: entry.directory })
}

export async function execInContainer(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { entry, exec }: { entry: ContainerEntry & { spec: ContainerSpec }; exec: ExecSpec },
): Promise<ProcessStreams> {
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  const { native } = await parts.prepare()
  const image = await parts.images.byId(entry.spec.image, entry.imageId)
  const directory = join(entry.directory, `${EXEC_PREFIX}${randomBytes(6).toString('hex')}`)
  const runtimeLog = join(directory, 'runtime.log')
  const process = ociProcess({
    args: exec.args,
    env: { HOSTNAME: sandbox.record.spec.hostname, ...image?.env, ...entry.spec.env, ...exec.env },
    cwd: exec.cwd ?? (entry.spec.cwd || image?.workingDir || '/'),
    user: exec.user ?? entry.spec.user,
    capabilities: entry.spec.capabilities,
    privileged: entry.spec.privileged,
    handler: driver.handler,
    noNewPrivileges: entry.spec.noNewPrivileges,
    tty: exec.tty,
    ...(exec.size ? { size: exec.size } : {}),
  })
  const socket = await parts.monitor.open({
    kind: 'exec',
    directory,
    command:
      driver.kind === 'oci'
        ? driver.commandLine(['exec'], { runtimeLog })
        : driver.startCommand(entry.ociId, entry.directory),
    containerId: entry.ociId,
    runtimeLog,
    launch: native.launch,
    console: native.console,
    process: { ...process },
    tty: exec.tty,
    stdin: exec.stdin,
    ...(exec.size ? { size: exec.size } : {}),
    kill: killOf(driver, entry, {
      root: rootOciId(sandbox, entry),
      direct: exec.tty ? undefined : directExec({ process, containerId: entry.ociId, sendFiles: native.sendFiles }),
    }),
  })
  return openProcessStreams(socket, exec)
}

function killOf(
  driver: Driver,
  entry: ContainerEntry,
  { root, direct }: { root: string; direct: DirectExec | undefined },
): ExecRequest['kill'] {
  if (driver.kind === 'shim') return { kind: 'shim', containerDirectory: entry.directory, hostPids: driver.hostPids }
  if (!driver.isSentry) return { kind: 'process' }
  const stateFile = driver.stateFile(entry.ociId, root)
  return { kind: 'sentry', stateFile, ...(driver.takesDirectCalls && direct && { direct }) }
}
