/** The identity of a StatefulSet's Pod: its name, its labels, its claims. */
import { type KubeObject, type OwnerReference } from '@caisson/api'
import { type PodObject, resources, type Typed } from '@caisson/client'
import { type CreateWrite, type PlannedEvent, type Write, writeId } from '@caisson/controllers'
import type { StatefulSet } from 'kubernetes-types/apps/v1.d.ts'
import type { PersistentVolumeClaim, PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'
import { podFrom } from './pods.ts'
import { REVISION_LABEL } from './revisions.ts'

export type StatefulSetObject = Typed<StatefulSet>
export type ClaimObject = Typed<PersistentVolumeClaim>

const NAME_LABEL = 'statefulset.kubernetes.io/pod-name'
const INDEX_LABEL = 'apps.kubernetes.io/pod-index'

/** The number at the end of a Pod's name; undefined where the name is not one of this set's. */
export function ordinalOf(pod: PodObject, set: StatefulSetObject): number | undefined {
  const match = /^(.*)-(\d+)$/.exec(pod.metadata.name ?? '')
  return match && match[1] === set.metadata.name ? Number(match[2]) : undefined
}

export function statefulPod(
  set: StatefulSetObject,
  template: PodTemplateSpec,
  ordinal: number,
  revision: string,
): KubeObject {
  const name = `${set.metadata.name}-${ordinal}`
  const pod = podFrom(template, set as KubeObject, {
    name,
    labels: { [NAME_LABEL]: name, [INDEX_LABEL]: String(ordinal), [REVISION_LABEL]: revision },
  })
  const claims = claimNames(set, ordinal)
  const volumes = [
    ...claims.map(({ volume, claim }) => ({ name: volume, persistentVolumeClaim: { claimName: claim } })),
    ...(template.spec?.volumes ?? []).filter(({ name: other }) => !claims.some(({ volume }) => volume === other)),
  ]
  return {
    ...pod,
    spec: {
      ...template.spec,
      hostname: name,
      ...(set.spec?.serviceName && { subdomain: set.spec.serviceName }),
      ...(volumes.length > 0 && { volumes }),
    },
  }
}

function claimNames(
  set: StatefulSetObject,
  ordinal: number,
): { volume: string; claim: string; template: PersistentVolumeClaim }[] {
  return (set.spec?.volumeClaimTemplates ?? []).map((template) => {
    const volume = template.metadata?.name ?? ''
    return { volume, claim: `${volume}-${set.metadata.name}-${ordinal}`, template }
  })
}

export function createStatefulPod(set: StatefulSetObject, pod: KubeObject): CreateWrite {
  const what = `create Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`
  return {
    id: writeId('create', resources.pods, pod.metadata.name ?? ''),
    verb: 'create',
    resource: resources.pods,
    object: pod,
    event: event('Normal', 'SuccessfulCreate', `${what} successful`),
    failureEvent: event('Warning', 'FailedCreate', `${what} failed error: `),
  }
}

export function deleteStatefulPod(set: StatefulSetObject, { metadata }: PodObject): Write {
  const { namespace = '', name = '', uid = '' } = metadata
  const what = `delete Pod ${name} in StatefulSet ${set.metadata.name}`
  return {
    id: writeId('delete', resources.pods, name),
    verb: 'delete',
    resource: resources.pods,
    target: { namespace, name },
    uid,
    event: event('Normal', 'SuccessfulDelete', `${what} successful`),
    failureEvent: event('Warning', 'FailedDelete', `${what} failed error: `),
  }
}

function event(type: PlannedEvent['type'], reason: string, message: string): PlannedEvent {
  return { type, reason, action: reason, message }
}

/**
 * Whether a claim of an ordinal that has no Pod is about to go: it is being deleted, or went with the Pod that was there
 * before. A Pod that were made now would write to what is lost with it.
 */
export function hasLeavingClaim(
  set: StatefulSetObject,
  ordinal: number,
  claims: ReadonlyMap<string, ClaimObject>,
): boolean {
  const pod = `${set.metadata.name}-${ordinal}`
  return claimNames(set, ordinal).some(({ claim }) => {
    const { deletionTimestamp, ownerReferences = [] } = claims.get(claim)?.metadata ?? {}
    return deletionTimestamp !== undefined || ownerReferences.some(({ kind, name }) => kind === 'Pod' && name === pod)
  })
}

/** Claims of an ordinal that are not there yet. */
export function createClaims(
  set: StatefulSetObject,
  ordinal: number,
  known: ReadonlyMap<string, ClaimObject>,
): Write[] {
  return claimNames(set, ordinal).flatMap(({ claim, template }): Write[] => {
    if (known.has(claim)) return []
    const what = `create Claim ${claim} Pod ${set.metadata.name}-${ordinal} in StatefulSet ${set.metadata.name}`
    const owners = ownersOf(set, undefined, [])
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: claim,
        namespace: set.metadata.namespace ?? '',
        labels: { ...template.metadata?.labels, ...set.spec?.selector.matchLabels },
        ...(template.metadata?.annotations && { annotations: { ...template.metadata.annotations } }),
        ...(owners.length > 0 && { ownerReferences: owners }),
      },
      spec: template.spec,
    }
    return [
      {
        id: writeId('create', resources.persistentVolumeClaims, claim),
        verb: 'create',
        resource: resources.persistentVolumeClaims,
        object,
        event: event('Normal', 'SuccessfulCreate', `${what} success`),
        failureEvent: event('Warning', 'FailedCreate', `${what} failed error: `),
      },
    ]
  })
}

/**
 * Who a claim goes with, by the retention policy: with the set when that is deleted, with a Pod that is scaled away.
 *
 * @param condemned the Pod, where it is to go for good
 */
function ownersOf(
  set: StatefulSetObject,
  condemned: PodObject | undefined,
  others: readonly OwnerReference[],
): OwnerReference[] {
  const { whenDeleted, whenScaled } = (set.spec?.persistentVolumeClaimRetentionPolicy ?? {}) as {
    whenDeleted?: string
    whenScaled?: string
  }
  const owners = [...others]
  const add = (apiVersion: string, kind: string, { name = '', uid = '' }: KubeObject['metadata']): void => {
    owners.push({ apiVersion, kind, name, uid })
  }
  if (whenScaled === 'Delete' && condemned) add('v1', 'Pod', condemned.metadata)
  else if (whenDeleted === 'Delete') add('apps/v1', 'StatefulSet', set.metadata)
  return owners
}

/** Sees to it that the claims of a Pod go with whom they should. */
export function alignClaimOwners(
  set: StatefulSetObject,
  pod: PodObject,
  { ordinal, condemned, claims }: { ordinal: number; condemned: boolean; claims: ReadonlyMap<string, ClaimObject> },
): Write[] {
  const isOurs = ({ kind, uid }: OwnerReference): boolean =>
    uid === set.metadata.uid || (kind === 'Pod' && uid === pod.metadata.uid)
  return claimNames(set, ordinal).flatMap(({ claim }): Write[] => {
    const found = claims.get(claim)
    if (!found) return []
    const current = found.metadata.ownerReferences ?? []
    const others = current.filter((owner) => !isOurs(owner))
    const wanted = ownersOf(set, condemned ? pod : undefined, others)
    if (wanted.length === current.length && wanted.every(({ uid }) => current.some((owner) => owner.uid === uid)))
      return []
    const { namespace = '', name = '', uid = '', resourceVersion = '' } = found.metadata
    return [
      {
        id: `${writeId('patch', resources.persistentVolumeClaims, name)} ${resourceVersion}`,
        verb: 'patch',
        resource: resources.persistentVolumeClaims,
        target: { namespace, name },
        patch: { metadata: { uid, resourceVersion, ownerReferences: wanted.length ? wanted : null } },
      },
    ]
  })
}
