/** From one generation of Pods to the next: which ReplicaSets a Deployment has, and how large each is. */
import { controllerReference, type KubeObject } from '@caisson/api'
import { resources } from '@caisson/client'
import { nothing, type Plan, type PlannedEvent, type Write, writeId } from '@caisson/controllers'
import { deploymentStatus } from './deployment-status.ts'
import { claim } from './pods.ts'
import {
  annotationsOf,
  availableOf,
  byAge,
  type DeploymentObject,
  isRolling,
  isTaken,
  type ObservedDeployment,
  REVISION,
  type ReplicaSetObject,
  type Rollout,
  replicasOf,
  revisionOf,
  rolloutBounds,
  sum,
} from './rollout.ts'
import { canonical, templateHash } from './template-hash.ts'

const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
const DESIRED = 'deployment.kubernetes.io/desired-replicas'
const MAXIMUM = 'deployment.kubernetes.io/max-replicas'
const HASH_LABEL = 'pod-template-hash'
const NOT_COPIED = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED,
  MAXIMUM,
  'deprecated.deployment.rollback.to',
])
const LONGEST_HISTORY = 2000

export function planDeployment(observed: ObservedDeployment, now: number): Plan<object> {
  const { deployment } = observed
  const selector = deployment.spec?.selector
  if (!selector) return nothing()
  const { owned, writes } = claim(
    deployment as KubeObject,
    selector as never,
    observed.replicaSets as (ReplicaSetObject & KubeObject)[],
    resources.replicaSets,
  )
  if (writes.length) return { ...nothing(), writes, retry: observed.failures.length > 0 }
  const sets = owned.sort(byAge)
  const current = sets.find((set) => sameTemplate(set, deployment))
  const rollout: Rollout = { ...observed, sets, current, old: sets.filter((set) => set !== current), now }
  if (deployment.metadata.deletionTimestamp === undefined) writes.push(...steps(rollout))
  return { ...deploymentStatus(rollout), writes }
}

/** The next writes; those after them follow from what they lead to. */
function steps(rollout: Rollout): Write[] {
  const { deployment, sets, current } = rollout
  if (deployment.spec?.paused) return [...scaleInProportion(rollout), ...cleanUp(rollout)]
  const scaled = sets.some(
    (set) =>
      replicasOf(set) > 0 &&
      DESIRED in annotationsOf(set) &&
      Number(annotationsOf(set)[DESIRED]) !== replicasOf(deployment),
  )
  if (current && annotate(rollout, current).length) return annotate(rollout, current)
  if (scaled) return scaleInProportion(rollout)
  return isRolling(deployment) ? roll(rollout) : recreate(rollout)
}

function roll(rollout: Rollout): Write[] {
  const { current } = rollout
  if (!current) return createCurrent(rollout)
  const up = resize(rollout, current, wantedOfCurrent(rollout))
  if (up.length) return up
  const down = shrinkOld(rollout)
  if (down.length) return down
  return isComplete(rollout) ? cleanUp(rollout) : []
}

function recreate(rollout: Rollout): Write[] {
  const { old, current, running } = rollout
  const down = old.flatMap((set) => resize(rollout, set, 0))
  if (down.length) return down
  if (old.some(({ metadata }) => (running.get(metadata.uid ?? '') ?? 0) > 0)) return []
  if (!current) return createCurrent(rollout)
  const up = resize(rollout, current, replicasOf(rollout.deployment))
  if (up.length) return up
  return isComplete(rollout) ? cleanUp(rollout) : []
}

/** How large the new set may be now: never more Pods in all than the surge allows. */
function wantedOfCurrent({ deployment, sets, current }: Rollout): number {
  const replicas = replicasOf(deployment)
  const own = current ? replicasOf(current) : 0
  if (!isRolling(deployment)) return replicas
  if (own >= replicas) return replicas
  const total = sum(sets.map(replicasOf))
  const room = replicas + rolloutBounds(deployment).maxSurge - total
  return room <= 0 ? own : own + Math.min(room, replicas - own)
}

/** Old Pods go as far as enough others are there: first those that do not work, then as many as can be missed. */
function shrinkOld(rollout: Rollout): Write[] {
  const { deployment, sets, old, current } = rollout
  const total = sum(sets.map(replicasOf))
  const least = replicasOf(deployment) - rolloutBounds(deployment).maxUnavailable
  const unavailable = current ? replicasOf(current) - availableOf(current) : 0
  const most = total - least - unavailable
  if (most <= 0) return []
  const sizes = new Map(old.map((set) => [set, replicasOf(set)]))
  let gone = 0
  for (const set of old) {
    const size = sizes.get(set) ?? 0
    const broken = Math.min(most - gone, Math.max(0, size - availableOf(set)))
    sizes.set(set, size - broken)
    gone += broken
  }
  let spare = sum(sets.map(availableOf)) - least
  for (const set of old) {
    const size = sizes.get(set) ?? 0
    const less = Math.min(size, Math.max(0, spare))
    sizes.set(set, size - less)
    spare -= less
  }
  return old.flatMap((set) => resize(rollout, set, sizes.get(set) ?? 0))
}

/** Another size in the middle of a rollout: each generation gets its share. */
function scaleInProportion(rollout: Rollout): Write[] {
  const { deployment, sets, old, current } = rollout
  const replicas = replicasOf(deployment)
  const active = sets.filter((set) => replicasOf(set) > 0)
  if (active.length <= 1) {
    const [only] = active.length ? active : current ? [current] : sets.slice(-1)
    return only ? resize(rollout, only, replicas) : []
  }
  if (current && isSaturated(rollout)) return old.flatMap((set) => resize(rollout, set, 0))
  if (!isRolling(deployment)) return []
  const allowed = replicas > 0 ? replicas + rolloutBounds(deployment).maxSurge : 0
  const toAdd = allowed - sum(active.map(replicasOf))
  // The largest first; among equals the newest gains first and the oldest loses first.
  const ordered = active.toSorted((a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)))
  let added = 0
  const sizes = ordered.map((set) => {
    const share = proportion(set, deployment, toAdd, added)
    added += share
    return replicasOf(set) + share
  })
  sizes[0] = Math.max(0, (sizes[0] as number) + toAdd - added)
  return ordered.flatMap((set, index) => resize(rollout, set, sizes[index] as number))
}

function proportion(set: ReplicaSetObject, deployment: DeploymentObject, toAdd: number, added: number): number {
  const size = replicasOf(set)
  if (size === 0 || toAdd === 0 || toAdd === added) return 0
  const left = toAdd - added
  const fraction = shareOf(set, deployment)
  return toAdd > 0 ? Math.min(fraction, left) : Math.max(fraction, left)
}

function shareOf(set: ReplicaSetObject, deployment: DeploymentObject): number {
  const size = replicasOf(set)
  const replicas = replicasOf(deployment)
  if (replicas === 0) return -size
  const before = Number(annotationsOf(set)[MAXIMUM]) || (deployment.status?.replicas ?? 0)
  if (before === 0) return 0
  return Math.round((size * (replicas + rolloutBounds(deployment).maxSurge)) / before) - size
}

function isSaturated({ deployment, current }: Rollout): boolean {
  const replicas = replicasOf(deployment)
  if (!current) return false
  return (
    replicasOf(current) === replicas &&
    Number(annotationsOf(current)[DESIRED]) === replicas &&
    availableOf(current) === replicas
  )
}

/** All Pods are of the new generation, and available. */
function isComplete({ deployment, sets, current }: Rollout): boolean {
  const replicas = replicasOf(deployment)
  return (
    sum(sets.map(({ status }) => status?.replicas ?? 0)) === replicas &&
    (current?.status?.replicas ?? 0) === replicas &&
    (current ? availableOf(current) : 0) === replicas
  )
}

function createCurrent(rollout: Rollout): Write[] {
  const { deployment, replicaSets } = rollout
  const { metadata, spec } = deployment
  const template = spec?.template
  const hash = templateHash(template, deployment.status?.collisionCount)
  const name = `${metadata.name}-${hash}`
  // Another template's, or another owner's: the status counts it, and the next hash is another one.
  if (isTaken(name, replicaSets)) return []
  const size = wantedOfCurrent(rollout)
  const label = { [HASH_LABEL]: hash }
  const object: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: metadata.namespace ?? '',
      labels: { ...template?.metadata?.labels, ...label },
      annotations: {
        ...copiedAnnotations(deployment),
        [REVISION]: String(nextRevision(rollout)),
        ...sizes(deployment),
      },
      ownerReferences: [controllerReference(deployment as KubeObject)],
    },
    spec: {
      replicas: size,
      ...(spec?.minReadySeconds && { minReadySeconds: spec.minReadySeconds }),
      selector: {
        ...spec?.selector,
        matchLabels: { ...spec?.selector.matchLabels, ...label },
      },
      template: {
        ...template,
        metadata: { ...template?.metadata, labels: { ...template?.metadata?.labels, ...label } },
      },
    },
  }
  return [
    {
      id: writeId('create', resources.replicaSets, name),
      verb: 'create',
      resource: resources.replicaSets,
      object,
      ...(size > 0 && { event: scalingEvent('up', name, 0, size) }),
      failureEvent: {
        type: 'Warning',
        reason: 'ReplicaSetCreateError',
        action: 'ScalingReplicaSet',
        message: `Failed to create new replica set "${name}": `,
      },
    },
  ]
}

function nextRevision({ old }: Pick<Rollout, 'old'>): bigint {
  return old.map(revisionOf).reduce((newest, each) => (each > newest ? each : newest), 0n) + 1n
}

function copiedAnnotations(deployment: DeploymentObject): Record<string, string> {
  return Object.fromEntries(Object.entries(annotationsOf(deployment)).filter(([key]) => !NOT_COPIED.has(key)))
}

function sizes(deployment: DeploymentObject): Record<string, string> {
  const replicas = replicasOf(deployment)
  return { [DESIRED]: String(replicas), [MAXIMUM]: String(replicas + rolloutBounds(deployment).maxSurge) }
}

/** A set that is current again gets the newest revision, and remembers which it had. */
function annotate(rollout: Rollout, current: ReplicaSetObject): Write[] {
  const { deployment } = rollout
  const known = annotationsOf(current)
  const annotations: Record<string, string> = { ...copiedAnnotations(deployment) }
  const [before, revision] = [revisionOf(current), nextRevision(rollout)]
  if (before < revision) {
    annotations[REVISION] = String(revision)
    if (before > 0n) {
      const history = [...(known[REVISION_HISTORY]?.split(',') ?? []), String(before)]
      while (history.join(',').length > LONGEST_HISTORY) history.shift()
      annotations[REVISION_HISTORY] = history.join(',')
    }
  }
  const changed = Object.entries(annotations).filter(([key, value]) => known[key] !== value)
  const minReadySeconds = deployment.spec?.minReadySeconds ?? 0
  const readyDiffers = minReadySeconds !== (current.spec?.minReadySeconds ?? 0)
  if (changed.length === 0 && !readyDiffers) return []
  return [
    patchSet(current, 'annotations', {
      metadata: { annotations: Object.fromEntries(changed) },
      ...(readyDiffers && { spec: { minReadySeconds } }),
    }),
  ]
}

function resize({ deployment }: Rollout, set: ReplicaSetObject, size: number): Write[] {
  const before = replicasOf(set)
  const wanted = sizes(deployment)
  const known = annotationsOf(set)
  const annotated = Object.entries(wanted).every(([key, value]) => known[key] === value)
  if (before === size && (annotated || size === 0)) return []
  const write = patchSet(set, `to ${size}`, { metadata: { annotations: wanted }, spec: { replicas: size } })
  const name = set.metadata.name ?? ''
  return [
    before === size ? write : { ...write, event: scalingEvent(size > before ? 'up' : 'down', name, before, size) },
  ]
}

function patchSet(
  set: ReplicaSetObject,
  what: string,
  { metadata, ...rest }: { metadata: object; [field: string]: unknown },
): Write {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = set.metadata
  return {
    id: `${writeId('patch', resources.replicaSets, name)} ${what}`,
    verb: 'patch',
    resource: resources.replicaSets,
    target: { namespace, name },
    patch: { metadata: { uid, resourceVersion, ...metadata }, ...rest },
  }
}

function scalingEvent(way: 'up' | 'down', name: string, from: number, to: number): PlannedEvent {
  const message = `Scaled ${way} replica set ${name} from ${from} to ${to}`
  return { type: 'Normal', reason: 'ScalingReplicaSet', action: 'ScalingReplicaSet', message }
}

/** Generations beyond the limit, oldest first, once nothing of them is left. */
function cleanUp({ deployment, old }: Rollout): Write[] {
  const limit = deployment.spec?.revisionHistoryLimit ?? 10
  const gone = old.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const excess = gone.length - limit
  if (excess <= 0) return []
  return gone
    .toSorted((a, b) => Number(revisionOf(a) - revisionOf(b)) || byAge(a, b))
    .slice(0, excess)
    .filter(
      ({ spec, status, metadata }) =>
        spec?.replicas === 0 &&
        (status?.replicas ?? 0) === 0 &&
        (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0),
    )
    .map(({ metadata: { namespace = '', name = '', uid = '' } }) => ({
      id: writeId('delete', resources.replicaSets, name),
      verb: 'delete' as const,
      resource: resources.replicaSets,
      target: { namespace, name },
      uid,
    }))
}

function sameTemplate({ spec }: ReplicaSetObject, deployment: DeploymentObject): boolean {
  const { [HASH_LABEL]: _hash, ...labels } = spec?.template?.metadata?.labels ?? {}
  const own = { ...spec?.template, metadata: { ...spec?.template?.metadata, labels } }
  const template = deployment.spec?.template
  const wanted = { ...template, metadata: { ...template?.metadata, labels: template?.metadata?.labels ?? {} } }
  return canonical(own) === canonical(wanted)
}
