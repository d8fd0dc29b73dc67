/** What a Deployment says of its rollout: counts, conditions, and when it has taken too long. */
import { kubernetesTime } from '@caisson/api'
import type { Plan } from '@caisson/controllers'
import type { DeploymentCondition, DeploymentStatus } from 'kubernetes-types/apps/v1.d.ts'
import { withoutZeros } from './pods.ts'
import {
  isTaken,
  REVISION,
  type ReplicaSetObject,
  type Rollout,
  replicasOf,
  revisionOf,
  rolloutBounds,
  sum,
} from './rollout.ts'
import { templateHash } from './template-hash.ts'

/** As good as no deadline. */
const NO_DEADLINE = 2 ** 31 - 1

type Condition = DeploymentCondition & { lastUpdateTime?: string; lastTransitionTime?: string }
type Counts = Omit<DeploymentStatus, 'conditions'>

export function deploymentStatus(rollout: Rollout): Omit<Plan<object>, 'writes'> {
  const { deployment, current, failures } = rollout
  const counts = countsOf(rollout)
  const conditions = conditionsOf(rollout, counts)
  const collided = !current && !deployment.spec?.paused && isCollision(rollout)
  const status = {
    ...counts,
    ...(collided && { collisionCount: (deployment.status?.collisionCount ?? 0) + 1 }),
    ...(conditions.length > 0 && { conditions }),
  }
  const deadline = deadlineOf(rollout, conditions)
  const requeueAt = collided ? rollout.now : deadline
  return {
    status,
    statusEvents: [],
    statusMayWait: 0,
    retry: failures.length > 0,
    ...(current && { statusAnnotations: { [REVISION]: String(revisionOf(current)) } }),
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

function isCollision({ deployment, replicaSets }: Rollout): boolean {
  const hash = templateHash(deployment.spec?.template, deployment.status?.collisionCount)
  return isTaken(`${deployment.metadata.name}-${hash}`, replicaSets)
}

function countsOf({ deployment, sets, current }: Rollout): Counts {
  const actual = (
    all: readonly ReplicaSetObject[],
    field: 'replicas' | 'readyReplicas' | 'availableReplicas',
  ): number => sum(all.map(({ status }) => status?.[field] ?? 0))
  const available = actual(sets, 'availableReplicas')
  return withoutZeros({
    observedGeneration: deployment.metadata.generation,
    replicas: actual(sets, 'replicas'),
    updatedReplicas: current ? actual([current], 'replicas') : 0,
    readyReplicas: actual(sets, 'readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(sets.map(replicasOf)) - available),
    collisionCount: deployment.status?.collisionCount,
  }) as Counts
}

function conditionsOf(rollout: Rollout, counts: Counts): Condition[] {
  const { deployment, sets, current, now } = rollout
  let conditions = (deployment.status?.conditions ?? []) as Condition[]
  const set = (condition: Condition | undefined, type: string): void => {
    conditions = condition ? withCondition(conditions, condition, now) : conditions.filter((one) => one.type !== type)
  }
  const enough = (counts.availableReplicas ?? 0) >= replicasOf(deployment) - rolloutBounds(deployment).maxUnavailable
  set(
    enough
      ? state('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.')
      : state('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.'),
    'Available',
  )
  if (hasDeadline(rollout)) {
    const before = conditions.find(({ type }) => type === 'Progressing')
    const next = progressing(rollout, counts, before)
    // Progress is told anew, so that the deadline counts from here.
    if (next?.again) conditions = conditions.filter(({ type }) => type !== 'Progressing')
    if (next)
      set(
        next.again && before?.status === next.condition.status
          ? { ...next.condition, ...kept(before) }
          : next.condition,
        '',
      )
  } else set(undefined, 'Progressing')
  const failing = [current, ...sets].find((one) => failureOf(one))
  set(failing && failureOf(failing), 'ReplicaFailure')
  return conditions
}

function kept({ lastTransitionTime }: Condition): Partial<Condition> {
  return lastTransitionTime === undefined ? {} : { lastTransitionTime }
}

function state(type: string, status: string, reason: string, message: string): Condition {
  return { type, status, reason, message }
}

/** What stays as it is keeps its times, what changes its words keeps when it last changed. */
function withCondition(conditions: readonly Condition[], next: Condition, now: number): Condition[] {
  const known = conditions.find(({ type }) => type === next.type)
  if (known && known.status === next.status && known.reason === next.reason) return [...conditions]
  const time = kubernetesTime(now)
  const lastTransitionTime =
    next.lastTransitionTime ?? (known?.status === next.status ? known.lastTransitionTime : undefined) ?? time
  return [...conditions.filter(({ type }) => type !== next.type), { ...next, lastUpdateTime: time, lastTransitionTime }]
}

function hasDeadline({ deployment }: Rollout): boolean {
  return (deployment.spec?.progressDeadlineSeconds ?? NO_DEADLINE) !== NO_DEADLINE
}

function progressing(
  rollout: Rollout,
  counts: Counts,
  before: Condition | undefined,
): { condition: Condition; again?: boolean } | undefined {
  const { deployment, current, failures, now } = rollout
  const { paused } = deployment.spec ?? {}
  if (before?.reason !== 'ProgressDeadlineExceeded') {
    if (paused && before?.reason !== 'DeploymentPaused') {
      return { condition: state('Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused') }
    }
    if (!paused && before?.reason === 'DeploymentPaused') {
      return { condition: state('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed') }
    }
  }
  if (paused) return undefined
  const failed = failures.find(({ id }) => id.startsWith('create'))
  if (!current && failed) {
    const name = failed.id.slice(failed.id.lastIndexOf(' ') + 1)
    const message = `Failed to create new replica set "${name}": ${failed.message}`
    return { condition: state('Progressing', 'False', 'ReplicaSetCreateError', message) }
  }
  const isNew = current && String(revisionOf(current)) !== deployment.metadata.annotations?.[REVISION]
  if (isNew && current) {
    const again = true
    const name = current.metadata.name
    const known = (current.status?.observedGeneration ?? 0) > 0 && before
    return known
      ? { condition: state('Progressing', 'True', 'FoundNewReplicaSet', `Found new replica set "${name}"`), again }
      : { condition: state('Progressing', 'True', 'NewReplicaSetCreated', `Created new replica set "${name}"`), again }
  }
  const finished =
    (counts.replicas ?? 0) === (counts.updatedReplicas ?? 0) && before?.reason === 'NewReplicaSetAvailable'
  if (finished) return undefined
  const subject = current ? `ReplicaSet "${current.metadata.name}"` : `Deployment "${deployment.metadata.name}"`
  if (isDone(rollout, counts)) {
    const message = `${subject} has successfully progressed.`
    return { condition: state('Progressing', 'True', 'NewReplicaSetAvailable', message) }
  }
  if (hasProgressed(deployment.status ?? {}, counts)) {
    return { condition: state('Progressing', 'True', 'ReplicaSetUpdated', `${subject} is progressing.`), again: true }
  }
  if (isOverdue(rollout, before, now)) {
    const message = `${subject} has timed out progressing.`
    return { condition: state('Progressing', 'False', 'ProgressDeadlineExceeded', message) }
  }
  return undefined
}

function isDone(
  { deployment }: Rollout,
  { updatedReplicas = 0, replicas = 0, availableReplicas = 0 }: Counts,
): boolean {
  const wanted = replicasOf(deployment)
  return updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted
}

function hasProgressed(before: DeploymentStatus, after: Counts): boolean {
  const old = (status: Counts): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0)
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  )
}

function isOverdue({ deployment }: Rollout, before: Condition | undefined, now: number): boolean {
  if (!before || before.reason === 'NewReplicaSetAvailable') return false
  if (before.reason === 'ProgressDeadlineExceeded') return true
  return deadlineFrom(before, deployment.spec?.progressDeadlineSeconds) <= now
}

function deadlineFrom({ lastUpdateTime }: Condition, seconds = NO_DEADLINE): number {
  return Date.parse(lastUpdateTime ?? '') + seconds * 1000
}

/** When to see whether it has taken too long; undefined where there is nothing to wait for. */
function deadlineOf(rollout: Rollout, conditions: readonly Condition[]): number | undefined {
  const condition = conditions.find(({ type }) => type === 'Progressing')
  if (!condition || !hasDeadline(rollout) || rollout.deployment.spec?.paused) return undefined
  if (condition.reason === 'NewReplicaSetAvailable' || condition.reason === 'ProgressDeadlineExceeded') return undefined
  const moment = deadlineFrom(condition, rollout.deployment.spec?.progressDeadlineSeconds)
  return Number.isFinite(moment) ? moment : undefined
}

function failureOf(set: ReplicaSetObject | undefined): Condition | undefined {
  const found = set?.status?.conditions?.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  return found && state('ReplicaFailure', 'True', found.reason ?? '', found.message ?? '')
}
