/** Suspending with memory, and beginning with it: which snapshot a Sandbox's Pod leaves behind or is made from. */
import {
  controllerReference,
  hasSnapshotFailed,
  isConditionTrue,
  SANDBOX_MESSAGES as MESSAGES,
  ownershipOf,
  type Sandbox,
  type SandboxSnapshot,
  SNAPSHOT_ANNOTATION,
  SNAPSHOT_FINALIZERS,
} from '@caisson/api'
import { sandboxSnapshots } from '@caisson/client'
import { type CreateWrite, type Write, writeId } from '../engine/plan.ts'
import { snapshotMessage } from '../snapshot/plan-snapshot.ts'
import { deletionAsSeen, deletionOf, identityOf, type Pod, SANDBOXES } from './objects.ts'
import { failureOf, type ObservedSandbox, type SandboxError } from './observed-sandbox.ts'

/** Name of the snapshot that holds a suspended Sandbox's memory. */
export function memoryName(sandbox: Pick<Sandbox, 'metadata'>): string {
  return `${sandbox.metadata.name}.memory`
}

export interface MemoryPlan {
  writes: Write[]
  errors: SandboxError[]
  /** The Pod has nothing more to do and may go. */
  release: boolean
  /** Why it may not, for the condition Suspended. */
  keeping?: { failed: boolean; message: string }
}

const RELEASE: MemoryPlan = { writes: [], errors: [], release: true }

/** What is to happen before the Pod of a Sandbox that suspends may go. */
export function planKeeping(observed: ObservedSandbox, pod: Pod): MemoryPlan {
  const { sandbox, memory } = observed
  if (sandbox.spec.suspension?.memory !== 'Keep' || pod.metadata.deletionTimestamp) return RELEASE
  const waiting = { writes: [], errors: [], release: false, keeping: { failed: false, message: '' } }
  if (!memory) {
    // A Pod that has not come to run has nothing to be kept.
    if (!hasRunning(pod)) return RELEASE
    return attempt(observed, createMemory(sandbox), waiting)
  }
  if (ownershipOf(memory, sandbox) !== 'owned') {
    const message = `SandboxSnapshot ${memoryName(sandbox)} is not of this Sandbox: delete it so that the memory can be kept`
    return { ...waiting, keeping: { failed: true, message } }
  }
  if (memory.metadata.deletionTimestamp) return waiting
  // Suspended again before it had gone on: its processes are in the snapshot, and nowhere else.
  if (hasYetToBeginWith(memory, pod)) return RELEASE
  const { podUID } = memory.status ?? {}
  // Of an earlier suspension.
  if (podUID !== undefined && podUID !== pod.metadata.uid)
    return attempt(observed, deletionOf(sandboxSnapshots, memory), waiting)
  if (isConditionTrue(memory.status?.conditions, 'Ready')) return RELEASE
  if (hasEnded(pod)) {
    // By itself, and before anything was kept: nothing is left that could be.
    if (hasSnapshotFailed(memory)) return RELEASE
    if (memory.status?.nodeName === undefined && !wasKept(pod))
      return attempt(observed, deletionAsSeen(sandboxSnapshots, memory), waiting)
  }
  if (hasSnapshotFailed(memory)) return { ...waiting, keeping: { failed: true, message: snapshotMessage(memory) } }
  return waiting
}

/** What is left of a suspension, seen from a Sandbox that is to run and has a Pod. */
export function planResumed(observed: ObservedSandbox, pod: Pod): MemoryPlan {
  const { sandbox, memory } = observed
  const stay: MemoryPlan = { writes: [], errors: [], release: false }
  if (!memory || ownershipOf(memory, sandbox) !== 'owned' || memory.metadata.deletionTimestamp) return stay
  const ready = isConditionTrue(memory.status?.conditions, 'Ready')
  if (isKept(memory, pod)) {
    // The wish to suspend was taken back too late: a node may have begun, and then the processes are in the snapshot and
    // nowhere else. They go on from there.
    return ready ? RELEASE : { ...stay, keeping: { failed: false, message: MESSAGES.memoryBeingKept } }
  }
  if (hasYetToBeginWith(memory, pod)) return stay
  return attempt(observed, deletionOf(sandboxSnapshots, memory), stay)
}

/** Whether the Sandbox is put to sleep, or was, with the memory of this very Pod: nothing is left to decide about that. */
export function fallsAsleep({ sandbox, memory }: ObservedSandbox, pod: Pod): boolean {
  const isOwn = memory && ownershipOf(memory, sandbox) === 'owned' && !memory.metadata.deletionTimestamp
  return isOwn === true && isKept(memory, pod)
}

function isKept(memory: SandboxSnapshot, pod: Pod): boolean {
  const { podUID = pod.metadata.uid } = memory.status ?? {}
  return podUID === pod.metadata.uid && !hasSnapshotFailed(memory)
}

/** Deletes the Sandbox's own memory, at the Sandbox's end: its files may be as large as all that ran. */
export function removeMemory(
  observed: ObservedSandbox,
  memory: SandboxSnapshot,
): { write?: Write; error?: SandboxError } {
  if (memory.metadata.deletionTimestamp) return {}
  const write = deletionOf(sandboxSnapshots, memory)
  const error = failureOf(observed, write.id, 'failed to delete the memory: ')
  return error ? { error } : { write }
}

/** What a Pod that is to be made begins with. */
export function beginning(
  observed: ObservedSandbox,
): { kind: 'fresh' } | { kind: 'snapshot'; snapshot: SandboxSnapshot } | { kind: 'wait'; message: string } {
  const { sandbox, memory, source, snapshotsUnknown } = observed
  const kept = memory && ownershipOf(memory, sandbox) === 'owned' && !memory.metadata.deletionTimestamp
  if (kept && !hasSnapshotFailed(memory)) {
    if (isConditionTrue(memory.status?.conditions, 'Ready')) return { kind: 'snapshot', snapshot: memory }
    const message = `SandboxSnapshot ${memory.metadata.name} is not Ready: ${snapshotMessage(memory)}`
    return { kind: 'wait', message }
  }
  const { fromSnapshot, suspension } = sandbox.spec
  // Begun without it, it would be taken away as one of an earlier suspension.
  if (suspension?.memory === 'Keep' && !memory && snapshotsUnknown !== undefined)
    return { kind: 'wait', message: `whether its memory was kept is not known: ${snapshotsUnknown}` }
  if (fromSnapshot === undefined) return { kind: 'fresh' }
  if (!source) return { kind: 'wait', message: `there is no SandboxSnapshot ${fromSnapshot}` }
  if (!isConditionTrue(source.status?.conditions, 'Ready'))
    return { kind: 'wait', message: `SandboxSnapshot ${fromSnapshot} is not Ready: ${snapshotMessage(source)}` }
  return { kind: 'snapshot', snapshot: source }
}

/** Whether a Pod's end is that its memory was kept: then it is not the workload's own. */
export function wasKept({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(({ state }) => state?.terminated?.reason === 'Suspended')
}

/** Whether the Pod is still made of the memory: its node says of none of its containers that it runs before all can go on. */
function hasYetToBeginWith(memory: SandboxSnapshot, pod: Pod): boolean {
  const beginsWith = pod.metadata.annotations?.[SNAPSHOT_ANNOTATION]
  return beginsWith === memory.metadata.name && isConditionTrue(memory.status?.conditions, 'Ready') && !hasRunning(pod)
}

function hasEnded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

function hasRunning({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(({ state }) => state?.running)
}

function attempt(observed: ObservedSandbox, write: Write, plan: MemoryPlan): MemoryPlan {
  const failure = failureOf(observed, write.id, 'failed to keep the memory: ')
  return failure ? { ...plan, errors: [failure] } : { ...plan, writes: [write] }
}

function createMemory(sandbox: Sandbox): CreateWrite {
  const { namespace } = identityOf(sandbox)
  const name = memoryName(sandbox)
  return {
    verb: 'create',
    id: writeId('create', sandboxSnapshots, name),
    resource: sandboxSnapshots,
    object: {
      apiVersion: sandboxSnapshots.apiVersion,
      kind: sandboxSnapshots.kind,
      metadata: {
        name,
        namespace,
        finalizers: Object.values(SNAPSHOT_FINALIZERS),
        ownerReferences: [controllerReference({ ...sandbox, kind: SANDBOXES.kind })],
      },
      spec: { sandboxName: sandbox.metadata.name ?? '', endSource: true },
    },
  }
}
