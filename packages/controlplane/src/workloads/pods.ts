/** Pods as the controllers that make them see them. */
import {
  controllerOf,
  controllerReference,
  isConditionTrue,
  type KubeObject,
  type LabelSelector,
  selects,
} from '@caisson/api'
import { type PodObject, resources } from '@caisson/client'
import type { PlannedEvent, Write, WriteFailure } from '@caisson/controllers'
import { type CreateWrite, writeId } from '@caisson/controllers'
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'

export function isActive({ metadata, status }: PodObject): boolean {
  return status?.phase !== 'Succeeded' && status?.phase !== 'Failed' && metadata.deletionTimestamp === undefined
}

function readyCondition({ status }: PodObject): { status: string; lastTransitionTime?: string } | undefined {
  return status?.conditions?.find(({ type }) => type === 'Ready') as ReturnType<typeof readyCondition>
}

export function isReady({ status }: PodObject): boolean {
  return isConditionTrue(status?.conditions as never, 'Ready')
}

/** When the Pod will have been ready for long enough, ms since the epoch; undefined while it is not ready. */
function availableAt(pod: PodObject, minReadySeconds = 0): number | undefined {
  const condition = readyCondition(pod)
  if (condition?.status !== 'True') return undefined
  return Date.parse(condition.lastTransitionTime ?? '') + minReadySeconds * 1000 || 0
}

export function isAvailable(pod: PodObject, minReadySeconds: number | undefined, now: number): boolean {
  if (!isReady(pod)) return false
  return !minReadySeconds || (availableAt(pod, minReadySeconds) ?? Infinity) <= now
}

/** The first moment at which one more of them is available; undefined where none will be by waiting alone. */
export function nextAvailable(
  pods: readonly PodObject[],
  minReadySeconds: number | undefined,
  now: number,
): number | undefined {
  if (!minReadySeconds) return undefined
  const moments = pods.flatMap((pod) => availableAt(pod, minReadySeconds) ?? []).filter((moment) => moment > now)
  return moments.length ? Math.min(...moments) : undefined
}

/** A new Pod from a template, owned by `owner`; the server names it unless `name` does. */
export function podFrom(
  template: PodTemplateSpec,
  owner: KubeObject,
  more: {
    name?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
    finalizers?: string[]
  } = {},
): KubeObject {
  const { name, namespace = '' } = owner.metadata
  const labels = { ...template.metadata?.labels, ...more.labels }
  const annotations = { ...template.metadata?.annotations, ...more.annotations }
  const finalizers = [...(template.metadata?.finalizers ?? []), ...(more.finalizers ?? [])]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(more.name === undefined ? { generateName: `${name}-` } : { name: more.name }),
      namespace,
      ...(Object.keys(labels).length > 0 && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(finalizers.length > 0 && { finalizers }),
      ownerReferences: [controllerReference(owner)],
    },
    spec: template.spec,
  }
}

/** @param id tells it from the other creations of one pass */
export function createPod(pod: KubeObject, id: string | number): CreateWrite {
  return {
    id: writeId('create', resources.pods, String(id)),
    verb: 'create',
    resource: resources.pods,
    batch: 'create pods',
    object: pod,
    event: (created) => podEvent('Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`),
    failureEvent: podEvent('Warning', 'FailedCreate', 'Error creating: '),
  }
}

export function deletePod({ metadata: { namespace = '', name = '', uid = '' } }: PodObject): Write {
  return {
    id: writeId('delete', resources.pods, name),
    verb: 'delete',
    resource: resources.pods,
    batch: 'delete pods',
    target: { namespace, name },
    uid,
    event: podEvent('Normal', 'SuccessfulDelete', `Deleted pod: ${name}`),
    failureEvent: podEvent('Warning', 'FailedDelete', 'Error deleting: '),
  }
}

function podEvent(type: PlannedEvent['type'], reason: string, message: string): PlannedEvent {
  return { type, reason, action: reason, message }
}

export interface Claimed<T> {
  /** Those that belong to the owner once the writes are done. */
  owned: T[]
  writes: Write[]
}

/**
 * Which objects belong to an owner with a selector: those that it controls and selects stay, those that it no longer
 * selects are let go, those that nobody controls and it selects are taken.
 */
export function claim<T extends KubeObject>(
  owner: KubeObject,
  selector: LabelSelector | undefined,
  candidates: readonly T[],
  resource: Write['resource'],
): Claimed<T> {
  const owned: T[] = []
  const writes: Write[] = []
  const leaving = owner.metadata.deletionTimestamp !== undefined
  for (const object of candidates) {
    const controller = controllerOf(object)
    const matches = selects(selector, object.metadata.labels)
    if (controller) {
      if (controller.uid !== owner.metadata.uid) continue
      if (matches) owned.push(object)
      else if (!leaving) {
        writes.push(
          setOwners(
            object,
            resource,
            (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== controller.uid),
          ),
        )
      }
    } else if (matches && !leaving && object.metadata.deletionTimestamp === undefined) {
      writes.push(setOwners(object, resource, [...(object.metadata.ownerReferences ?? []), controllerReference(owner)]))
      owned.push(object)
    }
  }
  return { owned, writes }
}

function setOwners(
  { metadata }: KubeObject,
  resource: Write['resource'],
  ownerReferences: KubeObject['metadata']['ownerReferences'],
): Write {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = metadata
  return {
    id: `${writeId('patch', resource, name)} owners ${resourceVersion}`,
    verb: 'patch',
    resource,
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, ownerReferences: ownerReferences?.length ? ownerReferences : null } },
  }
}

/** Fields that are 0 are not stored. */
export function withoutZeros<T extends Record<string, number | undefined>>(counts: T): Partial<T> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count)) as Partial<T>
}

/** A failure to make or to delete Pods, for the condition that says so. */
export function firstFailure(failures: readonly WriteFailure[]): { reason: string; message: string } | undefined {
  const [failure] = failures
  if (!failure) return undefined
  return { reason: failure.id.startsWith('delete') ? 'FailedDelete' : 'FailedCreate', message: failure.message }
}
