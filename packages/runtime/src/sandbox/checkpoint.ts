import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { killProcess } from '../monitor/process-identity.ts'
import { lastComplaint } from '../monitor/runtime-log.ts'
import { CHECKPOINTED_FILE } from '../monitor/supervised-container.ts'
import { type CheckpointOptions, type ContainerSpec, RuntimeError, type Snapshot } from '../runtime.ts'
import { runCommand } from '../tools/run-command.ts'
import { runscBuildDate } from '../tools/tools.ts'
import { blankShape } from './blank.ts'
import type { RuntimeParts } from './containers.ts'
import type { Driver } from './drivers.ts'
import type { ContainerEntry, SandboxEntry } from './entries.ts'
import type { OciDriver } from './oci-driver.ts'
import { rightsOf, sealSnapshot, snapshotMachine } from './snapshot-files.ts'
import { readContainer } from './state-files.ts'

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
  const entry = onlyContainer(sandbox)
  await mkdir(directory, { mode: 0o700 })
  // A sandbox that is to end must not run after the moment that is kept, nor one whose volumes are kept beside it.
  const pauses = !leaveRunning || whilePaused !== undefined
  try {
    if (pauses) await setPaused(driver, entry, true)
    const createdAt = Date.now()
    // Both to their end: what one still writes after the other has failed would come back into what is removed.
    const outcomes = await Promise.allSettled([save(driver, entry, directory), whilePaused?.()])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    if (pauses && leaveRunning) await setPaused(driver, entry, false)
    await requireOwnDescriptors(directory)
    const snapshot = await sealSnapshot(directory, {
      createdAt,
      machine: await snapshotMachine(driver),
      imageId: entry.imageId,
      hostname: sandbox.record.spec.hostname,
      rights: rightsOf(entry.spec),
      shape: await blankShape(sandbox.record.spec, entry.spec, entry.imageId),
    })
    if (!leaveRunning) await endKept(parts, entry)
    return snapshot
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    if (pauses && entry.state.phase === 'running' && (await isPaused(driver, entry)))
      await setPaused(driver, entry, false).catch(() => {})
    throw error
  }
}

/** Ends a container whose memory is on disk. What is killed in between is ended by `finishCheckpoint`. */
async function endKept(parts: RuntimeParts, entry: ContainerEntry): Promise<void> {
  await writeFile(join(entry.directory, CHECKPOINTED_FILE), '', { mode: 0o600 })
  await killPaused(parts, entry)
}

/** Its processes take no signal while they are paused: the sentry is killed. */
async function killPaused(parts: RuntimeParts, entry: ContainerEntry): Promise<void> {
  await parts.monitor.expectKill(entry.id)
  const { supervision } = await readContainer(entry.directory)
  if (supervision?.running) killProcess(supervision.running.pid, supervision.running.startTime, 'SIGKILL')
  await entry.exited.promise
}

/** After a restart: what was to end ends, and what was paused for a snapshot that never came goes on. */
export async function finishCheckpoint(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  entry: ContainerEntry,
): Promise<void> {
  if (entry.state.phase !== 'running') return
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  if (!driver.isSentry) return
  if (existsSync(join(entry.directory, CHECKPOINTED_FILE))) await killPaused(parts, entry)
  else if (await isPaused(driver, entry)) await setPaused(driver, entry, false)
}

async function save(driver: OciDriver, entry: ContainerEntry, directory: string): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(directory))
  if (bavail * bsize < DISK_RESERVE) {
    throw new RuntimeError(
      'disk-full',
      `${dirname(directory)} has ${bavail * bsize} bytes left, expected at least ${DISK_RESERVE} beside a snapshot: make room`,
    )
  }
  const runtimeLog = join(entry.directory, 'checkpoint.log')
  try {
    const { program, args, env } = driver.commandLine(
      [
        'checkpoint',
        '--leave-running',
        // It is read many times and written once, through the page cache both ways.
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

// How runsc's state names a descriptor of this machine: `host:NUMBER` with its length before it, 14 bytes behind the name
// of its container. Of those that came by exec that name is empty, and they cannot be opened again.
const DESCRIPTOR = /^host:\d+$/
const STRING_TYPE = 6
const LONGEST_DESCRIPTOR = 16
const NAME_DISTANCE = 14
const OWN = '__no_name_0'

/** What an exec left connected to its client is not known to be in the way before it is restored: by then it is too late. */
async function requireOwnDescriptors(directory: string): Promise<void> {
  const state = await readFile(join(directory, 'checkpoint.img'))
  for (let at = state.indexOf('host:'); at >= 0; at = state.indexOf('host:', at + 1)) {
    if (at < OWN.length + NAME_DISTANCE || state[at - 5] !== STRING_TYPE) continue
    const length = state.readUInt32BE(at - 4)
    if (length > LONGEST_DESCRIPTOR || !DESCRIPTOR.test(state.toString('latin1', at, at + length))) continue
    const name = at - NAME_DISTANCE
    if (state.toString('latin1', name - OWN.length, name) === OWN) continue
    throw new RuntimeError(
      'snapshot-incompatible',
      'a process that was started by exec holds on to its client, and could not go on elsewhere: let it end, or start it with its input and outputs redirected',
    )
  }
}

function saveFailure(complaint: string): RuntimeError {
  const [first = ''] = complaint.trim().split('\n')
  if (/no space left|disk quota/i.test(complaint))
    return new RuntimeError('disk-full', `the snapshot does not fit on the disk: ${first}`)
  return new RuntimeError('failed', `the sandbox could not be kept: ${first}`)
}

/** As runsc itself remembers it. */
async function isPaused(driver: OciDriver, entry: ContainerEntry): Promise<boolean> {
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

function onlyContainer(sandbox: SandboxEntry): ContainerEntry & { spec: ContainerSpec } {
  const { id, shared } = sandbox.record.spec
  if (shared)
    throw new RuntimeError(
      'snapshot-incompatible',
      `sandbox ${id} is made for several containers: only one can be kept`,
    )
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
  return running as ContainerEntry & { spec: ContainerSpec }
}
