/** From the Sandbox that was made to the exit code of its command. */
import { setTimeout as delay } from 'node:timers/promises'
import { findCondition, SANDBOX_CONDITIONS, SANDBOX_REASONS } from '@caisson/api'
import { attachToPod, type Client, type PodObject } from '@caisson/client'
import { copyStreams } from '../attached-terminal.ts'
import { CliError } from '../cli-error.ts'
import type { Session } from '../cluster/session.ts'
import { copyLog } from '../copy-log.ts'
import { forcedEnd } from '../pod-end.ts'
import { withoutPrefix } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'
import { waitingFailure } from '../start-failure.ts'
import { say } from '../terminal-text.ts'
import { watchNamed } from '../watch-named.ts'
import type { RunningPod } from './follow-pod.ts'
import { CONTAINER } from './pod-spec.ts'

/** Attaches as soon as there is a Pod on a node, copies, and gives the container's exit code. */
export async function runToEnd(
  session: Session,
  run: {
    name: string
    namespace: string
    terminal: { interactive: boolean; tty: boolean }
    pod: RunningPod
    signal: AbortSignal
    /** There is output, or word that the container runs. May be called more than once. */
    onStarted: () => void
  },
): Promise<number> {
  const { name, namespace, terminal, pod, signal, onStarted } = run
  void pod.when(started).then(onStarted, onStarted)
  // The embedded node holds an attach back until the container runs, and gives its output from the beginning; any other
  // refuses one that comes too early.
  const early = session.embedded !== undefined
  const before = await Promise.race([
    pod.when((now) => (early ? attachable(now) : (started(now) ?? waitingFailure(now)))),
    refusal(session, { name, namespace, pod, signal }),
  ])
  if (before instanceof CliError) throw before
  // A container that never starts has nothing to attach to and no output to wait for.
  const failed = pod.when(waitingFailure).then((error) => Promise.reject(error))
  failed.catch(() => undefined)
  const attaching = attachToPod(session.client, name, {
    namespace,
    container: CONTAINER,
    stdin: true,
    tty: terminal.tty,
    signal,
  })
  attaching.catch(() => undefined)
  let received = false
  try {
    await using command = await Promise.race([attaching, failed])
    for (const output of [command.stdout, command.stderr])
      output?.once('data', () => {
        received = true
        onStarted()
      })
    await Promise.race([copyStreams(command, terminal), failed])
  } catch (error) {
    if (signal.aborted || received || !early || error instanceof CliError) throw error
    // We came so late that what the command ran in is gone: its output is in the log, and not half of it here.
    const exitCode = await endOf(pod, name)
    await copyLogs(session.client, name, { namespace, apart: !terminal.tty })
    return exitCode
  }
  return endOf(pod, name)
}

/** Its exit code; one that never began has one too, which is not its own. Says so where something else ended it. */
async function endOf(pod: RunningPod, name: string): Promise<number> {
  const end = await pod.when((now) => waitingFailure(now) ?? exitOf(now))
  if (end instanceof CliError) throw end
  const { how, option } = end.forced ?? {}
  if (how !== undefined) say(`${name} ${how}${option === undefined ? '' : ` (${option})`}`)
  return end.exitCode
}

async function copyLogs(
  client: Client,
  name: string,
  { namespace, apart }: { namespace: string; apart: boolean },
): Promise<void> {
  const log = (stream?: 'Stdout' | 'Stderr') =>
    client.logs(name, { namespace, container: CONTAINER, ...(stream && { stream }) })
  if (!apart) return await copyLog(log(), process.stdout)
  await Promise.all([copyLog(log('Stdout'), process.stdout), copyLog(log('Stderr'), process.stderr)])
}

/** Without a Pod after so long it is worth asking the Sandbox why. */
const POD_PATIENCE_MS = 1_000

/** Why no Pod is made for the sandbox, should that be so. Never settles where there is one soon. */
async function refusal(
  session: Session,
  { name, namespace, pod, signal }: { name: string; namespace: string; pod: RunningPod; signal: AbortSignal },
): Promise<CliError> {
  const there = new AbortController()
  void pod
    .when(() => true)
    .then(
      () => there.abort(),
      () => there.abort(),
    )
  const until = AbortSignal.any([signal, there.signal])
  try {
    await delay(POD_PATIENCE_MS, undefined, { signal: until })
    for await (const event of watchNamed(session.client, sandboxes, { namespace, name, signal: until })) {
      if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
      const ready = findCondition(event.object.status?.conditions, SANDBOX_CONDITIONS.ready)
      if (ready?.reason === SANDBOX_REASONS.invalidConfiguration)
        return new CliError('usage', `the sandbox cannot start: ${ready.message}`)
      if (ready?.reason === SANDBOX_REASONS.reconcilerError) return refusedPod(ready.message)
    }
  } catch (error) {
    if (!until.aborted) throw error
  }
  return new Promise(() => undefined)
}

function refusedPod(message: string): CliError {
  const said = withoutPrefix(message)
  const runtimeClass = /RuntimeClass "(?<name>[^"]*)" not found/.exec(said)?.groups?.['name']
  if (runtimeClass === undefined) return new CliError('failed', `the sandbox cannot start: ${said}`)
  const next = "'kubectl get runtimeclasses' lists those that there are"
  return new CliError('not-found', `there is no RuntimeClass ${runtimeClass}: ${next}`)
}

function attachable(pod: PodObject): true | CliError | undefined {
  return pod.spec?.nodeName ? true : waitingFailure(pod)
}

function started(pod: PodObject): true | undefined {
  const state = pod.status?.containerStatuses?.[0]?.state
  return state?.running || state?.terminated ? true : undefined
}

function exitOf(pod: PodObject): { exitCode: number; forced: ReturnType<typeof forcedEnd> } | undefined {
  const exitCode = pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode
  return exitCode === undefined ? undefined : { exitCode, forced: forcedEnd(pod) }
}
