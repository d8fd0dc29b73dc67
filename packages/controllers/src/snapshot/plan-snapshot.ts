/** What becomes of a SandboxSnapshot: which node is to make it, and when its files may go. */
import {
  type ConditionState,
  findCondition,
  hasSnapshotFailed,
  isConditionTrue,
  mergeConditions,
  ownershipOf,
  SNAPSHOT_REASONS as REASONS,
  type Sandbox,
  type SandboxSnapshot,
  type SandboxSnapshotStatus,
  SNAPSHOT_FINALIZERS,
} from '@caisson/api'
import { sandboxSnapshots } from '@caisson/client'
import { nothing, type PatchWrite, type Plan, writeId } from '../engine/plan.ts'
import { identityOf, type Pod } from '../sandbox/objects.ts'

export interface ObservedSnapshot {
  snapshot: SandboxSnapshot
  /** The Sandbox of its namespace that it names. */
  sandbox: Sandbox | undefined
  /** That Sandbox's Pods. */
  pods: readonly Pod[]
  /** Names of the Sandboxes that are to be made from it. */
  users: readonly string[]
  /** Whether its node is still there. */
  nodeExists: boolean
}

/** @param now ms since the epoch */
export function planSnapshot(observed: ObservedSnapshot, now: number): Plan<SandboxSnapshotStatus> {
  const { snapshot } = observed
  if (snapshot.metadata.deletionTimestamp) return planDeletion(observed)
  const { status } = snapshot
  if (isConditionTrue(status?.conditions, 'Ready') || hasSnapshotFailed(snapshot)) return nothing()
  if (status?.nodeName !== undefined) return isLost(observed) ? giveUp(snapshot, status.nodeName, now) : nothing()
  const missing = missingFinalizers(snapshot)
  // Before a node begins: what it writes must not outlive the object.
  if (missing.length > 0) {
    const finalizers = [...(snapshot.metadata.finalizers ?? []), ...missing]
    return { ...nothing(), writes: [finalizerWrite(snapshot, finalizers)] }
  }
  return { ...nothing(), status: { ...status, ...assignment(observed, now) } }
}

/** Neither the node that was to make it is there, nor the Pod: which another of that name would not run either. */
function isLost({ snapshot, pods, nodeExists }: ObservedSnapshot): boolean {
  return !nodeExists && pods.every(({ metadata }) => metadata.uid !== snapshot.status?.podUID)
}

function giveUp(snapshot: SandboxSnapshot, nodeName: string, now: number): Plan<SandboxSnapshotStatus> {
  const said = notReady(snapshot, {
    reason: REASONS.sandboxGone,
    message: `node ${nodeName}, which was to keep it, is gone`,
    now,
  })
  return { ...nothing(), status: { ...snapshot.status, ...said } }
}

function notReady(
  { metadata: { generation = 0 }, status }: SandboxSnapshot,
  { reason, message, now }: { reason: string; message: string; now: number },
): Pick<SandboxSnapshotStatus, 'conditions'> {
  const ready: ConditionState = { type: 'Ready', status: 'False', observedGeneration: generation, reason, message }
  return { conditions: mergeConditions(status?.conditions, [ready], { now }) }
}

function assignment({ snapshot, sandbox, pods }: ObservedSnapshot, now: number): SandboxSnapshotStatus {
  const { sandboxName } = snapshot.spec
  const say = (reason: string, message: string) => notReady(snapshot, { reason, message, now })
  if (!sandbox) return say(REASONS.sandboxNotFound, `there is no Sandbox ${sandboxName}`)
  if (sandbox.metadata.deletionTimestamp) return say(REASONS.sandboxGone, `Sandbox ${sandboxName} is being deleted`)
  const pod = pods.find((each) => ownershipOf(each, sandbox) === 'owned')
  const nodeName = pod?.spec?.nodeName
  if (!pod || !nodeName || !isRunning(pod))
    return say(REASONS.sandboxNotRunning, `Sandbox ${sandboxName} does not run: waiting for its Pod`)
  const { volumeClaimTemplates } = sandbox.spec
  return {
    nodeName,
    sandboxUID: sandbox.metadata.uid ?? '',
    podUID: pod.metadata.uid ?? '',
    podTemplate: sandbox.spec.podTemplate,
    ...(volumeClaimTemplates && { volumeClaimTemplates }),
    ...say(REASONS.taking, `node ${nodeName} is to keep Pod ${pod.metadata.name}`),
  }
}

function isRunning({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp || status?.phase !== 'Running') return false
  return (status.containerStatuses ?? []).some(({ state }) => state?.running)
}

/** The node takes the files away once nobody is to be made from them; where there is no node any more, nobody has to. */
function planDeletion({ snapshot, users, nodeExists }: ObservedSnapshot): Plan<SandboxSnapshotStatus> {
  const { finalizers = [] } = snapshot.metadata
  if (users.length > 0 && isConditionTrue(snapshot.status?.conditions, 'Ready')) return nothing()
  const begun = snapshot.status?.nodeName !== undefined
  const kept = finalizers.filter(
    (finalizer) =>
      finalizer !== SNAPSHOT_FINALIZERS.inUse && (finalizer !== SNAPSHOT_FINALIZERS.files || (begun && nodeExists)),
  )
  return kept.length === finalizers.length ? nothing() : { ...nothing(), writes: [finalizerWrite(snapshot, kept)] }
}

function missingFinalizers({ metadata: { finalizers = [] } }: SandboxSnapshot): string[] {
  return Object.values(SNAPSHOT_FINALIZERS).filter((finalizer) => !finalizers.includes(finalizer))
}

function finalizerWrite(snapshot: SandboxSnapshot, finalizers: string[]): PatchWrite {
  const { name, namespace, uid, resourceVersion } = identityOf(snapshot)
  return {
    verb: 'patch',
    id: `${writeId('patch', sandboxSnapshots, name)} finalizers`,
    resource: sandboxSnapshots,
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, finalizers } },
  }
}

/** Why a snapshot is not Ready, for those who wait for it. */
export function snapshotMessage({ status }: SandboxSnapshot): string {
  return findCondition(status?.conditions, 'Ready')?.message ?? 'nobody has looked at it yet'
}
