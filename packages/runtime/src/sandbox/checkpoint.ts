import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { CHECKPOINTED_FILE } from '../monitor/container-files.ts'
import type { SentryPlace } from '../monitor/protocol.ts'
import { lastComplaint } from '../monitor/runtime-log.ts'
import { type CheckpointOptions, type ContainerSpec, type Snapshot } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'
import { runscBuildDate } from '../tools/tools.ts'
import { blankShape } from './blank-shape.ts'
import type { Driver } from './drivers.ts'
import type { ContainerEntry, SandboxEntry } from './entries.ts'
import { digestGrowing } from './file-digest.ts'
import type { OciDriver } from './oci-driver.ts'
import { requireOwnDescriptors } from './own-descriptors.ts'
import type { RuntimeParts } from './runtime-parts.ts'
import { type KeptContainer, rightsOf, sealSnapshot, snapshotMachine } from './snapshot-files.ts'
import { killSentry } from './state-files.ts'

// The first build known to keep what containers wrote to their root, and to write memory uncompressed.
const OLDEST_RUNSC = 20_240_701
/** On a full disk a sandbox cannot go on writing, and neither can we. */
const DISK_RESERVE = 64 * 1024 * 1024

/** Keeps a sandbox in a snapshot; see `Runtime.checkpoint`. */
export async function checkpointSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { directory, leaveRunning, whilePaused }: CheckpointOptions,
): Promise<Snapshot> {
  if (!isAbsolute(directory)) throw new RuntimeError('failed', `${directory} is not an absolute path`)
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  requireAble(driver)
  const kept = sandbox.record.spec.shared ? sharedContainers(sandbox) : onlyContainer(sandbox)
  const { root: entry, containers } = kept
  const [first] = containers
  if (sandbox.record.spec.shared) await forgetEnded(driver, sandbox)
  await mkdir(directory, { mode: 0o700 })
  await using open = new AsyncDisposableStack()
  // A sandbox that is to end must not run after the moment that is kept, nor one whose volumes are kept beside it.
  const pauses = !leaveRunning || whilePaused !== undefined
  // A monitor that was killed has nobody be less prompt; the next one finds out anew.
  await parts.monitor.rouse(entry.directory).catch(() => {})
  try {
    if (pauses) await pause(parts, driver, entry)
    const createdAt = Date.now()
    // Both to their end: what one still writes after the other has failed would come back into what is removed.
    const saving = save(parts, { driver, entry, directory, open })
    const outcomes = await Promise.allSettled([saving, whilePaused?.()])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const digests = await saving
    if (pauses && leaveRunning) await goOn(parts, driver, entry)
    const names = containers.flatMap(({ spec }) => spec.name ?? [])
    await requireOwnDescriptors(join(directory, STATE_FILE), [OWN, ...names])
    const description = {
      createdAt,
      machine: await snapshotMachine(driver),
      imageId: first.imageId,
      hostname: sandbox.record.spec.hostname,
      rights: rightsOf(first.spec),
      cwd: first.spec.cwd,
      ...(sandbox.record.spec.shared
        ? { containers: containers.map(keptContainer) }
        : { shape: await blankShape(sandbox.record.spec, first.spec, first.imageId) }),
    }
    const snapshot = await sealSnapshot(directory, description, digests)
    if (!leaveRunning) await endKept(parts, kept)
    return snapshot
  } catch (error) {
    // It goes on: what was marked to end with the snapshot would be taken for that whenever it ends.
    for (const { directory } of [entry, ...containers]) await rm(join(directory, CHECKPOINTED_FILE), { force: true })
    try {
      await rm(directory, { recursive: true, force: true })
    } finally {
      if (pauses && entry.state.phase === 'running') await goOnOrEnd(parts, driver, entry)
    }
    throw error
  }
}

type Running = ContainerEntry & { spec: ContainerSpec }

/** What a snapshot holds, and the container with which its sentry ends. */
interface Kept {
  root: ContainerEntry
  containers: [Running, ...Running[]]
}

function keptContainer({ spec, imageId }: Running): KeptContainer {
  return { name: spec.name ?? '', image: spec.image, imageId, rights: rightsOf(spec), cwd: spec.cwd }
}

/** Their names are known again only of those that run: the sentry is not to know of others. */
async function forgetEnded(driver: OciDriver, sandbox: SandboxEntry): Promise<void> {
  for (const { state, ociId, directory } of sandbox.containers.values())
    if (state.phase === 'exited') await driver.remove(ociId, directory)
}

/** Ends what is on disk. What is killed in between is ended by `finishCheckpoint`: the root says first that it is to end. */
async function endKept(parts: RuntimeParts, { root, containers }: Kept): Promise<void> {
  for (const { directory } of new Set([root, ...containers]))
    await writeFile(join(directory, CHECKPOINTED_FILE), '', { mode: 0o600 })
  await killPaused(parts, root, containers)
}

/** Its processes take no signal while they are paused: the sentry is killed. */
async function killPaused(
  parts: RuntimeParts,
  root: ContainerEntry,
  containers: readonly ContainerEntry[],
): Promise<void> {
  const all = new Set([root, ...containers])
  for (const { id } of all) await parts.monitor.expectKill(id)
  await killSentry(root.directory)
  await Promise.all([...all].map(({ exited }) => exited.promise))
}

/** After a restart: what was to end ends, and what was paused for a snapshot that never came goes on. */
export async function finishCheckpoint(parts: RuntimeParts, sandbox: SandboxEntry): Promise<void> {
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  if (!driver.isSentry) return
  const running = [...sandbox.containers.values()].filter(({ state }) => state.phase === 'running')
  const roots = sandbox.pause ? [sandbox.pause] : running
  for (const root of roots) {
    if (root.state.phase !== 'running') continue
    if (existsSync(join(root.directory, CHECKPOINTED_FILE))) {
      for (const { directory } of sandbox.pause ? running : [])
        await writeFile(join(directory, CHECKPOINTED_FILE), '', { mode: 0o600 })
      await killPaused(parts, root, sandbox.pause ? running : [])
      continue
    }
    await goOnOrEnd(parts, driver, root)
  }
}

interface Saving {
  driver: OciDriver
  entry: ContainerEntry
  directory: string
  /** What is still read when it is saved. */
  open: AsyncDisposableStack
}

type Digests = Map<string, Promise<string>>

/** Resolves with the digests of the files that were read as they grew. */
async function save(parts: RuntimeParts, saving: Saving): Promise<Digests> {
  const { directory } = saving
  const { bavail, bsize } = await statfs(dirname(directory))
  if (bavail * bsize < DISK_RESERVE) {
    throw new RuntimeError(
      'disk-full',
      `the disk has ${bavail * bsize} bytes left, expected at least ${DISK_RESERVE} beside a snapshot: make room`,
    )
  }
  const digests = await saveDirectly(parts, saving)
  if (digests) return digests
  await saveByCommand(saving)
  return new Map()
}

const STATE_FILE = 'checkpoint.img'
/** Written from its beginning to its end; all others are small beside it. */
const MEMORY_FILE = 'pages.img'
/** As runsc calls them, in the order in which the sentry takes them. */
const SAVED_FILES = [STATE_FILE, 'pages_meta.img', MEMORY_FILE]

/** Asks the sentry itself: `runsc checkpoint` takes 20 ms to begin. Resolves with undefined where that cannot be. */
async function saveDirectly(
  parts: RuntimeParts,
  { driver, entry, directory, open }: Saving,
): Promise<Digests | undefined> {
  if (!driver.takesDirectCalls) return undefined
  const { native } = await parts.prepare()
  const files = SAVED_FILES.map((name) => join(directory, name))
  try {
    for (const path of files) await writeFile(path, '', { flag: 'wx', mode: 0o600 })
    const memory = open.use(await digestGrowing(join(directory, MEMORY_FILE)))
    if (await parts.monitor.save({ sentry: sentryOf(driver, entry), files, sendFiles: native.sendFiles }))
      return new Map([[MEMORY_FILE, memory.end()]])
  } catch (error) {
    throw saveFailure(error instanceof Error ? error.message : String(error))
  }
  for (const path of files) await rm(path)
  return undefined
}

async function saveByCommand({ driver, entry, directory }: Saving): Promise<void> {
  const runtimeLog = join(entry.directory, 'checkpoint.log')
  try {
    const { program, args, env } = driver.commandLine(
      [
        'checkpoint',
        '--leave-running',
        // The monitor's `SAVING` says the same.
        '--compression=none',
        '--exclude-committed-zero-pages',
        `--image-path=${directory}`,
        entry.ociId,
      ],
      { runtimeLog },
    )
    const { exitCode, stderr } = await runCommand(program, args, { env })
    if (exitCode !== 0) throw saveFailure(lastComplaint(runtimeLog) ?? stderr)
  } finally {
    await rm(runtimeLog, { force: true })
  }
}

/** As a sentry calls the container whose it is. */
const OWN = '__no_name_0'

function saveFailure(complaint: string): RuntimeError {
  const [first = ''] = complaint.trim().split('\n')
  if (/no space left|disk quota/i.test(complaint))
    return new RuntimeError('disk-full', `the snapshot does not fit on the disk: ${first}`)
  return new RuntimeError('failed', `the sandbox could not be kept: ${first}`)
}

function sentryOf(driver: OciDriver, { directory, ociId }: ContainerEntry): SentryPlace {
  return { directory, stateFile: driver.stateFile(ociId, ociId) }
}

async function pause(parts: RuntimeParts, driver: OciDriver, entry: ContainerEntry): Promise<void> {
  if (driver.takesDirectCalls && (await parts.monitor.pause(sentryOf(driver, entry)))) return
  await setPaused(driver, entry, true)
}

async function goOn(parts: RuntimeParts, driver: OciDriver, entry: ContainerEntry): Promise<void> {
  if (await isPausedByCommand(driver, entry)) await setPaused(driver, entry, false)
  else if (driver.takesDirectCalls) await parts.monitor.resume(sentryOf(driver, entry))
}

/** What cannot go on is ended, which its end then tells: nobody would ever hear of a sandbox that stands still. */
async function goOnOrEnd(parts: RuntimeParts, driver: OciDriver, entry: ContainerEntry): Promise<void> {
  try {
    await goOn(parts, driver, entry)
  } catch {
    await killSentry(entry.directory)
  }
}

/** As runsc itself remembers it. */
async function isPausedByCommand(driver: OciDriver, entry: ContainerEntry): Promise<boolean> {
  const text = await readFile(driver.stateFile(entry.ociId, entry.ociId), 'utf8').catch(() => '{}')
  return (JSON.parse(text) as { status?: string }).status === 'paused'
}

async function setPaused(driver: OciDriver, entry: ContainerEntry, paused: boolean): Promise<void> {
  const runtimeLog = join(entry.directory, 'pause.log')
  const { program, args, env } = driver.commandLine([paused ? 'pause' : 'resume', entry.ociId], { runtimeLog })
  const { exitCode, stderr } = await runCommand(program, args, { env })
  const complaint = lastComplaint(runtimeLog) ?? stderr
  await rm(runtimeLog, { force: true })
  if (exitCode !== 0)
    throw new RuntimeError('failed', `the sandbox could not be ${paused ? 'paused' : 'resumed'}: ${complaint.trim()}`)
}

function requireAble(driver: Driver): asserts driver is OciDriver {
  if (driver.kind !== 'oci' || !driver.isSentry) {
    throw new RuntimeError(
      'snapshot-incompatible',
      `handler ${driver.handler} runs on this machine's kernel, of which no snapshot can be made: use runsc`,
    )
  }
  const date = runscBuildDate(driver.tool.version)
  if (date !== undefined && date < OLDEST_RUNSC) {
    throw new RuntimeError(
      'snapshot-incompatible',
      `runsc ${driver.tool.version} is too old for snapshots, expected a build of ${OLDEST_RUNSC} or newer: run "caisson doctor --fix"`,
    )
  }
}

function sharedContainers(sandbox: SandboxEntry): Kept {
  const { id } = sandbox.record.spec
  const root = sandbox.pause
  if (sandbox.removing || root?.state.phase !== 'running') throw new RuntimeError('not-found', `sandbox ${id} is gone`)
  if (sandbox.awaits.size > 0)
    throw new RuntimeError('failed', `sandbox ${id} is being restored itself: wait until it goes on`)
  const running = [...sandbox.containers.values()].filter(
    (entry): entry is Running => entry.state.phase === 'running' && entry.spec !== undefined,
  )
  const [first, ...others] = running
  if (!first) throw new RuntimeError('not-found', `nothing runs in sandbox ${id}`)
  for (const { id, spec } of running) {
    if (spec.name === undefined)
      throw new RuntimeError('snapshot-incompatible', `container ${id} has no name by which it could be restored`)
    if (spec.tty)
      throw new RuntimeError('snapshot-incompatible', `container ${id} has a terminal, which cannot be kept`)
  }
  return { root, containers: [first, ...others] }
}

function onlyContainer(sandbox: SandboxEntry): Kept {
  const { id } = sandbox.record.spec
  if (sandbox.removing) throw new RuntimeError('not-found', `sandbox ${id} is being removed`)
  const containers = [...sandbox.containers.values()]
  const running = containers.find(({ spec, state }) => state.phase === 'running' && spec?.beside === undefined)
  // Its sentry knows of it also when it has ended, and what it would write down could not be restored for one container.
  const guest = containers.find(({ spec }) => running && spec?.beside === running.id)
  if (guest)
    throw new RuntimeError(
      'snapshot-incompatible',
      `container ${guest.id} was put into sandbox ${id} beside its own: only one can be kept, so restart that first`,
    )
  if (!running?.spec) throw new RuntimeError('not-found', `nothing runs in sandbox ${id}`)
  if (running.spec.tty)
    throw new RuntimeError('snapshot-incompatible', `container ${running.id} has a terminal, which cannot be kept`)
  return { root: running, containers: [running as Running] }
}
