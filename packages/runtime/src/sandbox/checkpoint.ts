import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { killProcess } from '../monitor/process-identity.ts'
import { lastComplaint } from '../monitor/runtime-log.ts'
import { CHECKPOINTED_FILE } from '../monitor/supervised-container.ts'
import { type CheckpointOptions, RuntimeError, type Snapshot } from '../runtime.ts'
import { runCommand } from '../tools/run-command.ts'
import { runscBuildDate } from '../tools/tools.ts'
import type { RuntimeParts } from './containers.ts'
import { type ContainerEntry, ociId, type SandboxEntry } from './entries.ts'
import type { OciDriver } from './oci-driver.ts'
import { sealSnapshot, snapshotMachine } from './snapshot-files.ts'
import { readContainer } from './state-files.ts'

// The first build known to keep what containers wrote to their root, and to write memory uncompressed.
const OLDEST_RUNSC = 20_240_701
/** The number that a state file of runsc has for it. */
const PAUSED = 2
/** On a full disk a sandbox cannot go on writing, and neither can we. */
const DISK_RESERVE = 64 * 1024 * 1024

/** Keeps a sandbox in a snapshot; see `Runtime.checkpoint`. */
export async function checkpointSandbox(
  parts: RuntimeParts,
  sandbox: SandboxEntry,
  { directory, leaveRunning }: CheckpointOptions,
): Promise<Snapshot> {
  if (!isAbsolute(directory)) throw new RuntimeError('failed', `${directory} is not an absolute path`)
  const driver = await parts.drivers.get(sandbox.record.spec.handler)
  requireAble(driver)
  const entry = onlyContainer(sandbox)
  await mkdir(directory, { mode: 0o700 })
  try {
    // What goes on must not run between the moment that is kept and its end.
    if (!leaveRunning) await setPaused(driver, entry, true)
    const createdAt = Date.now()
    await save(driver, entry, directory)
    const snapshot = await sealSnapshot(directory, {
      createdAt,
      machine: await snapshotMachine(driver),
      imageId: entry.imageId,
      hostname: sandbox.record.spec.hostname,
    })
    if (!leaveRunning) await endKept(parts, entry)
    return snapshot
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    if (!leaveRunning && entry.state.phase === 'running') await setPaused(driver, entry, false).catch(() => {})
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
        ociId(entry.id),
      ],
      { runtimeLog },
    )
    const { exitCode, stderr } = await runCommand(program, args, { env })
    if (exitCode !== 0) throw saveFailure(lastComplaint(runtimeLog) ?? stderr)
  } finally {
    await rm(runtimeLog, { force: true })
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
  const text = await readFile(driver.stateFile(ociId(entry.id), ociId(entry.id)), 'utf8').catch(() => '{}')
  return (JSON.parse(text) as { status?: number }).status === PAUSED
}

async function setPaused(driver: OciDriver, entry: ContainerEntry, paused: boolean): Promise<void> {
  const runtimeLog = join(entry.directory, 'pause.log')
  const { program, args, env } = driver.commandLine([paused ? 'pause' : 'resume', ociId(entry.id)], { runtimeLog })
  const { exitCode, stderr } = await runCommand(program, args, { env })
  const complaint = lastComplaint(runtimeLog) ?? stderr
  await rm(runtimeLog, { force: true })
  if (exitCode !== 0)
    throw new RuntimeError('failed', `the sandbox could not be ${paused ? 'paused' : 'resumed'}: ${complaint.trim()}`)
}

function requireAble(driver: OciDriver): void {
  if (!driver.isSentry) {
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

function onlyContainer(sandbox: SandboxEntry): ContainerEntry {
  const { id, shared } = sandbox.record.spec
  if (shared)
    throw new RuntimeError(
      'snapshot-incompatible',
      `sandbox ${id} is made for several containers: only one can be kept`,
    )
  if (sandbox.removing) throw new RuntimeError('not-found', `sandbox ${id} is being removed`)
  const running = [...sandbox.containers.values()].find(({ state }) => state.phase === 'running')
  if (!running) throw new RuntimeError('not-found', `nothing runs in sandbox ${id}`)
  if (running.spec?.tty)
    throw new RuntimeError('snapshot-incompatible', `container ${running.id} has a terminal, which cannot be kept`)
  return running
}
