import {
  ANNOTATIONS,
  ownershipOf,
  SANDBOX_EVENTS,
  type Sandbox,
  type SandboxSnapshot,
  SNAPSHOT_ANNOTATION,
} from '@caisson/api'
import { type CreateWrite, type PatchWrite, type Write, writeId } from '../engine/plan.ts'
import { adoptionPatch, judgeAdoption, podNameOf } from './adoption.ts'
import { deletionOf, identityOf, PODS, type Pod, SANDBOXES, sandboxReference } from './objects.ts'
import { failureOf, type ObservedSandbox, operatingModeOf, type SandboxError } from './observed-sandbox.ts'
import { beginning, planKeeping, planResumed } from './plan-memory.ts'
import { withClaimVolumes } from './plan-volume-claims.ts'
import { newPodMetadata, podMetadataPatch } from './pod-metadata.ts'

export interface PodPlan {
  writes: Write[]
  errors: SandboxError[]
  /** The Pod that the conditions are about: the Sandbox's own, or, while it suspends, one that stands in its place. */
  pod?: Pod
  /** More Pods than one are this Sandbox's: which is the right one is not ours to guess. */
  multiple?: number
  /** Why a Pod that is to go is still there. */
  keeping?: { failed: boolean; message: string }
  /** What a Pod that is to be made waits for. */
  waitingFor?: string
}

/**
 * One Pod while the Sandbox runs, none while it is suspended. The spec of a Pod that exists is never touched.
 *
 * @param lacksClaims one of the volume claims is not there, or not the Sandbox's: a Pod made now would mount whatever gets
 *   its name, which may be somebody else's
 */
export function planPod(observed: ObservedSandbox, lacksClaims: boolean): PodPlan {
  const { sandbox, pods } = observed
  const owned = pods.filter((pod) => ownershipOf(pod, sandbox) === 'owned')
  if (owned.length > 1) return { writes: [], errors: [], multiple: owned.length }
  const pod = owned[0] ?? pods.find(({ metadata }) => metadata.name === podNameOf(sandbox))
  if (operatingModeOf(sandbox) === 'Suspended') return planSuspended(observed, pod)
  if (pod) return planExisting(observed, pod)
  return lacksClaims ? withoutPodName(observed, { writes: [], errors: [] }) : planMissing(observed)
}

/** Deletes the Sandbox's own Pod, for a suspension and at the Sandbox's end. */
export function removePod(observed: ObservedSandbox, pod: Pod): { write?: Write; error?: SandboxError } {
  if (pod.metadata.deletionTimestamp) return {}
  const write = deletionOf(PODS, pod)
  const error = failureOf(observed, write.id, 'failed to delete pod: ')
  return error ? { error } : { write }
}

function planSuspended(observed: ObservedSandbox, pod: Pod | undefined): PodPlan {
  if (!pod) return withoutPodName(observed, { writes: [], errors: [] })
  if (ownershipOf(pod, observed.sandbox) !== 'owned') return withoutPodName(observed, { writes: [], errors: [], pod })
  const memory = planKeeping(observed, pod)
  if (!memory.release) return { ...memory, pod }
  return planRemoval(observed, pod)
}

function planRemoval(observed: ObservedSandbox, pod: Pod): PodPlan {
  const { write, error } = removePod(observed, pod)
  return { writes: write ? [write] : [], errors: error ? [error] : [], pod }
}

function planMissing(observed: ObservedSandbox): PodPlan {
  const begins = beginning(observed)
  if (begins.kind === 'wait') return withoutPodName(observed, { writes: [], errors: [], waitingFor: begins.message })
  const write = newPod(observed.sandbox, begins.kind === 'snapshot' ? begins.snapshot : undefined)
  const failure = failureOf(observed, write.id)
  return withoutPodName(observed, failure ? { writes: [], errors: [failure] } : { writes: [write], errors: [] })
}

function planExisting(observed: ObservedSandbox, pod: Pod): PodPlan {
  const { sandbox } = observed
  const adoption = judgeAdoption(sandbox, pod, 'pod')
  if (adoption.kind === 'refused') {
    const refused = { writes: [], errors: [{ message: adoption.message, permanent: false }] }
    return ownershipOf(pod, sandbox) === 'foreign' ? withoutPodName(observed, refused) : refused
  }
  const memory = planResumed(observed, pod)
  if (memory.release) return planRemoval(observed, pod)
  const plan = planUpToDate(observed, pod, adoption)
  return {
    ...plan,
    writes: [...plan.writes, ...memory.writes],
    errors: [...plan.errors, ...memory.errors],
    ...(memory.keeping && { keeping: memory.keeping }),
  }
}

function planUpToDate(observed: ObservedSandbox, pod: Pod, adoption: ReturnType<typeof judgeAdoption>): PodPlan {
  const { sandbox } = observed
  const metadata = podMetadataPatch(sandbox, pod)
  const write =
    adoption.kind === 'adoptable' ? adoptionPatch(sandbox, pod, PODS, { ...(metadata && { metadata }) }) : undefined
  const patch = write ?? (metadata && !pod.metadata.deletionTimestamp ? metadataWrite(pod, metadata) : undefined)
  const plan = patch ? attemptPatch(observed, pod, patch) : { writes: [], errors: [], pod }
  return pod.metadata.name === podNameOf(sandbox) ? plan : withoutPodName(observed, plan)
}

function attemptPatch(observed: ObservedSandbox, pod: Pod, write: PatchWrite): PodPlan {
  const failure = failureOf(observed, write.id, 'failed to patch pod: ')
  if (!failure) return { writes: [write], errors: [], pod }
  return { writes: [], errors: [failure] }
}

/** An older controller's record of the Pod's name that is not true any more goes. */
function withoutPodName(observed: ObservedSandbox, plan: PodPlan): PodPlan {
  const { sandbox } = observed
  if (sandbox.metadata.annotations?.[ANNOTATIONS.podName] === undefined) return plan
  const { name, namespace, uid } = identityOf(sandbox)
  const write: PatchWrite = {
    verb: 'patch',
    id: `${writeId('patch', SANDBOXES, name)} annotation`,
    resource: SANDBOXES,
    target: { namespace, name },
    patch: { metadata: { uid, annotations: { [ANNOTATIONS.podName]: null } } },
  }
  const failure = failureOf(observed, write.id, 'failed to clear pod name annotation: ')
  if (failure) return { ...plan, errors: [...plan.errors, failure] }
  return { ...plan, writes: [write, ...plan.writes] }
}

function metadataWrite(pod: Pod, metadata: object): PatchWrite {
  const { name, namespace, uid } = identityOf(pod)
  return {
    verb: 'patch',
    id: writeId('patch', PODS, name),
    resource: PODS,
    target: { namespace, name },
    // No resourceVersion: the kubelet writes the Pod's status all the time, and these keys are nobody else's.
    patch: { metadata: { ...metadata, uid } },
  }
}

function newPod(sandbox: Sandbox, snapshot: SandboxSnapshot | undefined): CreateWrite {
  const { name, namespace } = identityOf(sandbox)
  const { spec } = sandbox.spec.podTemplate
  const volumes = withClaimVolumes(spec.volumes, sandbox)
  const metadata = newPodMetadata(sandbox)
  // Only the node that has the files can do it.
  const hostname = snapshot?.status?.nodeName
  const nodeSelector = hostname && { ...spec.nodeSelector, 'kubernetes.io/hostname': hostname }
  if (snapshot) metadata.annotations[SNAPSHOT_ANNOTATION] = snapshot.metadata.name ?? ''
  return {
    verb: 'create',
    id: writeId('create', PODS, name),
    resource: PODS,
    object: {
      apiVersion: PODS.apiVersion,
      kind: PODS.kind,
      metadata: { name, namespace, ...metadata, ownerReferences: [sandboxReference(sandbox)] },
      spec:
        volumes || nodeSelector
          ? { ...spec, ...(volumes && { volumes }), ...(nodeSelector && { nodeSelector }) }
          : spec,
    },
    event: { type: 'Normal', reason: SANDBOX_EVENTS.podCreated, action: 'PodCreation', message: `Created Pod ${name}` },
    failureEvent: {
      type: 'Warning',
      reason: SANDBOX_EVENTS.podCreateFailed,
      action: 'PodCreation',
      message: `Failed to create Pod ${name}: `,
    },
  }
}
