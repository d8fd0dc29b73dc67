import { findCondition, SANDBOX_CONDITIONS, SANDBOX_REASONS, type Sandbox } from '@caisson/api'
import { isNotFound, type PodObject, resources } from '@caisson/client'
import { CliError } from './cli-error.ts'
import type { Session } from './cluster/session.ts'
import { endOfPod } from './pod-end.ts'
import { getSandbox, patience, wakeIfAsleep } from './sandbox-progress.ts'
import { isStartFailure, waitingFailure } from './start-failure.ts'
import { whenObject } from './when-object.ts'

/**
 * The Pod in which a Sandbox runs: it has the Sandbox's name. One that was made just now is waited for, until its container
 * has started.
 *
 * @throws CliError where there is no such Sandbox, it has no Pod now, or its container cannot start
 */
export async function podOf(session: Session, name: string, container?: string): Promise<PodObject> {
  const { client, namespace } = session
  const pod = await client
    .get(resources.pods, name, { namespace })
    .catch((error: unknown) => (isNotFound(error) ? undefined : Promise.reject(error)))
  if (pod) requireContainer(pod, container)
  if (pod && hasStarted(pod, container)) return pod
  if (!pod) requireStarting(await getSandbox(session, name), name)
  return await whenObject(client, resources.pods, {
    namespace,
    name,
    signal: patience(),
    wanted(now) {
      requireContainer(now, container)
      if (hasStarted(now, container)) return now
      const failure = waitingFailure(now)
      if (failure) throw failure
      return undefined
    },
  })
}

/**
 * The same, of one that is left asleep where it sleeps.
 *
 * @throws CliError also where it sleeps or has ended: nothing can be made of what goes on in it
 */
export async function runningPodOf(session: Session, name: string, container?: string): Promise<PodObject> {
  const pod = await podOf(session, name, container)
  const end = endOfPod(pod)
  if (end === undefined) return pod
  throw new CliError('unavailable', `${name} ${end}: 'caisson logs ${name}' prints what it wrote`)
}

/**
 * The same, of one that is woken where it sleeps.
 *
 * @throws CliError also where it has ended: nothing can be executed in it any more
 */
export async function awakePodOf(session: Session, name: string, container?: string): Promise<PodObject> {
  try {
    return await runningPodOf(session, name, container)
  } catch (error) {
    // Asked only where there is no Pod: nobody who wants one that runs is to wait for it.
    if (await wakeIfAsleep(session, name)) return podOf(session, name, container)
    throw error
  }
}

/** Of one without a Pod: it is about to have one. */
function requireStarting({ spec, status }: Sandbox, name: string): void {
  if (spec.operatingMode === 'Suspended')
    throw new CliError('unavailable', `sandbox ${name} sleeps: 'caisson resume ${name}' has it go on`)
  const reason = findCondition(status?.conditions, SANDBOX_CONDITIONS.ready)?.reason
  if (reason !== undefined && reason !== SANDBOX_REASONS.dependenciesNotReady)
    throw new CliError(
      'unavailable',
      `sandbox ${name} has no running Pod now: 'kubectl describe sandbox ${name}' says why`,
    )
}

function requireContainer({ metadata, spec }: PodObject, container: string | undefined): void {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {}
  const names = [...initContainers, ...containers, ...ephemeralContainers].map(({ name }) => name)
  if (container === undefined || names.includes(container)) return
  throw new CliError('not-found', `${metadata.name} has no container ${container}: it has ${names.join(', ')}`)
}

/** Whether the container, else the first one, runs or has run. */
function hasStarted({ status, spec }: PodObject, container = spec?.containers[0]?.name): boolean {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status ?? {}
  const found = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(
    ({ name }) => name === container,
  )
  if (found?.state?.running) return true
  const end = found?.state?.terminated ?? found?.lastState?.terminated
  if (end) return !isStartFailure(end)
  // A Pod that has ended starts nothing any more, and what is not in it never will.
  return status?.phase === 'Failed' || status?.phase === 'Succeeded' || !isContainerOf(spec, container)
}

function isContainerOf(spec: PodObject['spec'], container: string | undefined): boolean {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec ?? {}
  return [...containers, ...initContainers, ...ephemeralContainers].some(({ name }) => name === container)
}
