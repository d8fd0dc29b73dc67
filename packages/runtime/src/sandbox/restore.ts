import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HELD_LOG } from '../monitor/held-command.ts'
import type { Bind, Held, Started, Supervision } from '../monitor/protocol.ts'
import { runInContainer } from '../monitor/sentry-control.ts'
import { IMAGE_LINK } from '../monitor/supervised-container.ts'
import { RuntimeError } from '../runtime.ts'
import type { RuntimeParts } from './containers.ts'
import type { OciDriver } from './oci-driver.ts'
import { requireSameMachine, type StoredSnapshot, snapshotMachine } from './snapshot-files.ts'

export interface RestoreOptions {
  /** Its command creates the container. */
  supervision: Supervision
  driver: OciDriver
  snapshot: StoredSnapshot
  /** Undefined where nothing goes on yet: others are restored first. */
  hostname: string | undefined
  /** Where it was created ahead, under another directory, what is bound over its places. */
  ahead?: { preparedIn: string; binds: Bind[] } | undefined
}

/** Creates a container, unless that was done ahead, and has the processes of a snapshot go on in it. */
export async function restore(parts: RuntimeParts, options: RestoreOptions): Promise<Started> {
  const { supervision, driver, snapshot } = options
  requireSameMachine(snapshot, await snapshotMachine(driver))
  if (!options.ahead) await parts.monitor.prepare(supervision, await heldRestore(parts, driver))
  return begin(parts, options)
}

/** The command that is held until there is something to be restored; paths are relative to the container's directory. */
export async function heldRestore(parts: RuntimeParts, driver: OciDriver): Promise<Held> {
  const { native } = await parts.prepare()
  const command = driver.commandLine(['restore', '--detach', '--bundle=.', `--image-path=${IMAGE_LINK}`], {
    runtimeLog: HELD_LOG,
  })
  return { launch: native.launchHeld, command }
}

async function begin(
  parts: RuntimeParts,
  { supervision, driver, snapshot, hostname, ahead }: RestoreOptions,
): Promise<Started> {
  const { native } = await parts.prepare()
  const started = await parts.monitor.begin(supervision, {
    image: snapshot.directory,
    ...(ahead && { preparedIn: ahead.preparedIn, binds: { program: native.bindMounts, mounts: ahead.binds } }),
  })
  // What came with the snapshot is its source's name.
  if (hostname !== undefined && snapshot.manifest.hostname !== hostname)
    await setHostname(parts, { supervision, driver, hostname })
  return started
}

const RESTORING_FILE = 'restoring'

/** Says of a shared sandbox that not all of its containers are there, or that they are; kept with the one that holds it open. */
export async function noteRestoring(directory: string, restoring: boolean): Promise<void> {
  const path = join(directory, RESTORING_FILE)
  await (restoring ? writeFile(path, '', { mode: 0o600 }) : rm(path, { force: true }))
}

export function isBeingRestored(directory: string): boolean {
  return existsSync(join(directory, RESTORING_FILE))
}

interface HostnameOptions {
  supervision: Pick<Supervision, 'ociId' | 'runtimeLog' | 'directory'>
  driver: OciDriver
  hostname: string
}

const CAP_SYS_ADMIN = 1 << 21

/** The kernel in the sandbox knows no other way than a system call of a process that may: ours, that needs no file inside. */
export async function setHostname(parts: RuntimeParts, options: HostnameOptions): Promise<void> {
  const { supervision, driver, hostname } = options
  const { native } = await parts.prepare()
  const path = join(supervision.directory, 'hostname')
  await writeFile(path, hostname, { mode: 0o600 })
  const [program, input] = [openSync(native.setHostname, 'r'), openSync(path, 'r')]
  try {
    const { ociId } = supervision
    const status = await runInContainer(driver.stateFile(ociId, ociId), {
      containerId: ociId,
      program,
      input,
      name: 'set-hostname',
      capabilities: CAP_SYS_ADMIN,
      sendFiles: native.sendFiles,
    })
    if (status !== 0) throw new RuntimeError('failed', `the sandbox does not take its name (wait status ${status})`)
  } catch {
    await executeSetHostname(options, { program, input: openSync(path, 'r') })
  } finally {
    closeSync(program)
    closeSync(input)
    await rm(path, { force: true })
  }
}

/** The same by `runsc exec`, which takes 20 ms longer. */
async function executeSetHostname(
  { supervision, driver }: HostnameOptions,
  { program, input }: { program: number; input: number },
): Promise<void> {
  const runtimeLog = `${supervision.runtimeLog}.hostname`
  try {
    const command = driver.commandLine(
      ['exec', '--exec-fd=3', '--user=0:0', '--cap=CAP_SYS_ADMIN', '--cwd=/', supervision.ociId, 'set-hostname'],
      { runtimeLog },
    )
    const child = spawn(command.program, command.args, {
      env: command.env,
      stdio: [input, 'ignore', 'pipe', program],
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else
        reject(
          new RuntimeError('failed', `could not give the sandbox its name (exit code ${code}): ${complaint.trim()}`),
        )
    })
    await promise
  } finally {
    closeSync(input)
    await rm(runtimeLog, { force: true })
  }
}
