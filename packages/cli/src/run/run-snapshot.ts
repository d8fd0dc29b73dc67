import { isNotFound, sandboxSnapshots } from '@caisson/client'
import { type Attendance, attend } from '../attendance.ts'
import { CliError } from '../cli-error.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { parseTimeout, shutdownAfter } from '../duration.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { newName } from '../new-name.ts'
import { podOf } from '../sandbox-pod.ts'
import { patience, whenReady } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { sayWaiting } from '../say-waiting.ts'
import { makeTemporary, takeAway, temporarySandbox } from '../take-away.ts'
import { templateOfCopy } from '../template-of-copy.ts'
import { whereFound } from '../where-found.ts'
import { exitStopped, type StopSignal, stopSignal } from './stop-signal.ts'

export interface RunSnapshotOptions extends GlobalOptions {
  snapshot: string
  command: string[]
  name?: string
  detach?: boolean
  keep?: boolean
  rm?: boolean
  interactive?: boolean
  tty?: boolean
  timeout?: string
}

/** Makes a Sandbox from a snapshot and executes a command beside what goes on in it; ends with the command's exit code. */
export async function runSnapshot(options: RunSnapshotOptions): Promise<void> {
  const name = newName(options.name, 'run')
  if (options.rm && options.detach)
    throw new CliError(
      'usage',
      '--rm and --detach contradict each other with --snapshot: what begins with one has no end of its own',
    )
  const timeoutMs = options.timeout === undefined ? undefined : parseTimeout('--timeout', options.timeout)
  const stop = stopSignal(timeoutMs)
  await using opened = await openSession(options)
  // Whatever ends this process, its sandbox ends too, unless it runs and is to stay.
  await using attendance = opened.embedded ? await attend(opened.embedded) : undefined
  try {
    await whereFound(opened, (session) => runIn(session, { ...options, name, stop, timeoutMs, attendance }))
  } catch (error) {
    if (!stop.signal.aborted) throw error
    exitStopped(stop, `the command did not end within ${options.timeout} and was stopped`)
  }
}

interface SnapshotRun extends RunSnapshotOptions {
  name: string
  stop: StopSignal
  timeoutMs: number | undefined
  attendance: Attendance | undefined
}

async function runIn(session: Session, options: SnapshotRun): Promise<void> {
  const { client, namespace } = session
  const { name, stop, timeoutMs, attendance } = options
  const snapshot = await client.get(sandboxSnapshots, options.snapshot, { namespace }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
    throw new CliError(
      'no-sandbox',
      `no snapshot ${options.snapshot} in namespace ${namespace}: 'kubectl get sandboxsnapshots' lists them`,
    )
  })
  const { podTemplate, volumeClaimTemplates } = snapshot.status ?? {}
  if (!podTemplate) throw new CliError('unavailable', `snapshot ${options.snapshot} is not Ready`)
  const sandbox = {
    metadata: { name, namespace, ...(attendance && { annotations: attendance.annotations }) },
    spec: {
      podTemplate: templateOfCopy(podTemplate, snapshot.spec.sandboxName),
      ...(volumeClaimTemplates && { volumeClaimTemplates }),
      fromSnapshot: options.snapshot,
      ...(timeoutMs !== undefined && { shutdownTime: shutdownAfter(timeoutMs), shutdownPolicy: 'Delete' as const }),
    },
  }
  const isAttended = attendance !== undefined
  const temporary = temporarySandbox({ namespace, name, isAttended, isNameNew: options.name === undefined })
  await makeTemporary(client, temporary, () => client.create(sandboxes, sandbox, { namespace }))
  let stays = false
  try {
    {
      using _ = sayWaiting(`sandbox ${name}`)
      await stop.race(whenReady(session, name, AbortSignal.any([stop.signal, patience()])))
    }
    stays = options.keep || options.detach || false
    if (stays) attendance?.keep()
    if (options.detach) console.log(name)
    if (options.command.length === 0) return
    const command = execCommand(client, await podOf(session, name), {
      namespace,
      command: options.command,
      interactive: options.interactive ?? false,
      tty: options.tty ?? false,
    })
    process.exitCode = await stop.race(command)
  } finally {
    if (!stays) await takeAway(client, temporary)
  }
}
