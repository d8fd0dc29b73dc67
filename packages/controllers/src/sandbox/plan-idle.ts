/** Suspending a Sandbox in which nothing happens, and taking that back. Its Pod's node says whether something does. */
import {
  hasSnapshotFailed,
  IDLE,
  IDLE_REASONS,
  isSuspendedForIdleness,
  SANDBOX_MESSAGES as MESSAGES,
  type OperatingMode,
  operatingModePatch,
  ownershipOf,
  type Sandbox,
} from '@caisson/api'
import { type PatchWrite, type Write, writeId } from '../engine/plan.ts'
import { identityOf, isPoolMember, type Pod, SANDBOXES } from './objects.ts'
import { failureOf, type ObservedSandbox, operatingModeOf, type SandboxError } from './observed-sandbox.ts'
import { fallsAsleep } from './plan-memory.ts'

export function planIdle(observed: ObservedSandbox): { writes: Write[]; errors: SandboxError[] } {
  const write = idleWrite(observed)
  const failure = write && failureOf(observed, write.id, 'failed to follow idleness: ')
  if (failure) return { writes: [], errors: [failure] }
  return { writes: write ? [write] : [], errors: [] }
}

function idleWrite(observed: ObservedSandbox): PatchWrite | undefined {
  const { sandbox, memory } = observed
  const pod = runningPod(observed)
  const idle = pod && idleCondition(pod)
  if (operatingModeOf(sandbox) === 'Running') {
    const idleSuspension = idleSuspensionOf(sandbox)
    if (idleSuspension && pod && idle?.status === 'True') {
      const cause = idle.lastTransitionTime && `${pod.metadata.uid} ${idle.lastTransitionTime}`
      // Woken on its way to sleep, or where it could not be put to sleep, it runs: what its node has said was before that.
      const isPast = cause && sandbox.metadata.annotations?.[IDLE.suspendedFor] === cause
      if (!isPast && !fallsAsleep(observed, pod)) return suspension(observed, idleSuspension.afterSeconds, cause)
    }
    // Somebody had it run again in another way than by waking it.
    return sandbox.metadata.annotations?.[IDLE.suspendedBy] === undefined ? undefined : modeWrite(observed, 'Running')
  }
  // What could not be put to sleep and is busy again has its time anew.
  const keeps = sandbox.spec.suspension?.memory === 'Keep'
  const awake = keeps && idle?.status === 'False' && memory !== undefined && hasSnapshotFailed(memory)
  return awake && isSuspendedForIdleness(sandbox) ? modeWrite(observed, 'Running') : undefined
}

function suspension(observed: ObservedSandbox, afterSeconds: number, cause: string | undefined): PatchWrite {
  const write = modeWrite(observed, 'Suspended')
  const { metadata } = write.patch
  const annotations = { ...(metadata['annotations'] as object), ...(cause && { [IDLE.suspendedFor]: cause }) }
  const message = `Nothing happened for ${afterSeconds} s`
  return {
    ...write,
    patch: { ...write.patch, metadata: { ...metadata, annotations } },
    event: { type: 'Normal', reason: IDLE_REASONS.idle, action: 'Suspension', message },
  }
}

function modeWrite(observed: ObservedSandbox, mode: OperatingMode): PatchWrite {
  const { name, namespace, uid, resourceVersion } = identityOf(observed.sandbox)
  const patch = operatingModePatch(observed.sandbox, mode, mode === 'Suspended' ? IDLE_REASONS.idle : null)
  return {
    verb: 'patch',
    id: `${writeId('patch', SANDBOXES, name)} idle`,
    resource: SANDBOXES,
    target: { namespace, name },
    // With the resourceVersion: somebody may have decided otherwise meanwhile.
    patch: { ...patch, metadata: { ...patch.metadata, uid, resourceVersion } },
  }
}

/** One that has ended, or goes, is not idle. */
function runningPod({ sandbox, pods }: ObservedSandbox): Pod | undefined {
  const owned = pods.filter((pod) => ownershipOf(pod, sandbox) === 'owned')
  const [pod] = owned
  const runs = pod && owned.length === 1 && !pod.metadata.deletionTimestamp && pod.status?.phase === 'Running'
  return runs ? pod : undefined
}

function idleCondition({ status }: Pod): NonNullable<NonNullable<Pod['status']>['conditions']>[number] | undefined {
  return status?.conditions?.find(({ type }) => type === IDLE.condition)
}

/** What a Sandbox's condition says of it; undefined where nobody asked. */
export function idleness(
  sandbox: Sandbox,
  pod: Pod | undefined,
): { status: 'True' | 'False' | 'Unknown'; reason: string; message: string } | undefined {
  if (isSuspendedForIdleness(sandbox))
    return { status: 'True', reason: IDLE_REASONS.idle, message: MESSAGES.suspendedForIdleness }
  if (!idleSuspensionOf(sandbox) || operatingModeOf(sandbox) !== 'Running') return undefined
  const said = pod && ownershipOf(pod, sandbox) === 'owned' ? idleCondition(pod) : undefined
  // Until it runs there is nothing to say.
  if (!said && pod?.status?.phase !== 'Running') return undefined
  const status = said?.status === 'True' ? 'True' : said?.status === 'False' ? 'False' : 'Unknown'
  const known = Object.values(IDLE_REASONS).find((reason) => reason === said?.reason)
  return {
    status: known ? status : 'Unknown',
    reason: known ?? IDLE_REASONS.unknown,
    message: known ? (said?.message ?? '') : MESSAGES.activityUnknown,
  }
}

/** Whether a Sandbox's Pod is to be watched, as the Pod's annotation says it. */
export function idleAnnotation(sandbox: Sandbox): string | undefined {
  const idleSuspension = idleSuspensionOf(sandbox)
  return idleSuspension && String(idleSuspension.afterSeconds)
}

/** What waits in a pool has nothing to do, and is there to be awake. */
function idleSuspensionOf(sandbox: Sandbox): Sandbox['spec']['idleSuspension'] {
  return isPoolMember(sandbox) ? undefined : sandbox.spec.idleSuspension
}
