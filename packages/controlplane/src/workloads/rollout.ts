/** A Deployment with its ReplicaSets in the middle of a rollout, and what is read off them. */
import { type IntOrPercent, type KubeObject, scaledValue } from '@caisson/api'
import type { Typed } from '@caisson/client'
import type { WriteFailure } from '@caisson/controllers'
import type { Deployment, ReplicaSet } from 'kubernetes-types/apps/v1.d.ts'

export type DeploymentObject = Typed<Deployment>
export type ReplicaSetObject = Typed<ReplicaSet>

export interface ObservedDeployment {
  deployment: DeploymentObject
  /** Those that it controls, and those of its namespace that nobody does. */
  replicaSets: readonly ReplicaSetObject[]
  /** Pods of its ReplicaSets that still run, by the UID of the set. */
  running: ReadonlyMap<string, number>
  failures: readonly WriteFailure[]
}

export interface Rollout extends ObservedDeployment {
  /** Its own, oldest first. */
  sets: readonly ReplicaSetObject[]
  /** The one with the template that the Deployment has now. */
  current: ReplicaSetObject | undefined
  old: readonly ReplicaSetObject[]
  now: number
}

export const REVISION = 'deployment.kubernetes.io/revision'

export function replicasOf({ spec }: { spec?: { replicas?: number } }): number {
  return spec?.replicas ?? 1
}

export function isRolling({ spec }: DeploymentObject): boolean {
  return spec?.strategy?.type !== 'Recreate'
}

/** How many Pods may be too many, and how many too few, while one generation gives way to the next. */
export function rolloutBounds(deployment: DeploymentObject): { maxSurge: number; maxUnavailable: number } {
  if (!isRolling(deployment)) return { maxSurge: 0, maxUnavailable: 0 }
  const replicas = replicasOf(deployment)
  const { maxSurge = 0, maxUnavailable = 0 } = (deployment.spec?.strategy?.rollingUpdate ?? {}) as {
    maxSurge?: IntOrPercent
    maxUnavailable?: IntOrPercent
  }
  const surge = scaledValue(maxSurge, replicas, 'up')
  const unavailable = Math.min(scaledValue(maxUnavailable, replicas, 'down'), replicas)
  // Both at nothing would let no rollout go on.
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 && replicas > 0 ? 1 : unavailable }
}

/** What a set's status says may be older than its size. */
export function availableOf(set: ReplicaSetObject): number {
  return Math.min(set.status?.availableReplicas ?? 0, replicasOf(set))
}

export function isTaken(name: string, replicaSets: readonly ReplicaSetObject[]): boolean {
  return replicaSets.some(({ metadata }) => metadata.name === name)
}

/** 64 bits, of which a number would not hold all; 0 where it says none. */
export function revisionOf(set: ReplicaSetObject): bigint {
  const text = annotationsOf(set)[REVISION] ?? ''
  return /^\d{1,19}$/.test(text) ? BigInt(text) : 0n
}

export function annotationsOf({ metadata }: { metadata: KubeObject['metadata'] }): Record<string, string> {
  return metadata.annotations ?? {}
}

export function byAge(a: { metadata: KubeObject['metadata'] }, b: { metadata: KubeObject['metadata'] }): number {
  const [left, right] = [a, b].map(({ metadata }) => metadata.creationTimestamp ?? '')
  if (left === right) return (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1
  return (left as string) < (right as string) ? -1 : 1
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
