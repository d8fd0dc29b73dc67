/** How many of the Pods that a PodDisruptionBudget selects may be evicted right now. */
import { type Condition, type IntOrPercent, kubernetesTime, mergeConditions, scaledValue, selects } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import { nothing, type Plan, type PlannedEvent } from '@caisson/controllers'
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from 'kubernetes-types/policy/v1.d.ts'
import { isReady } from './pods.ts'

export interface ObservedBudget {
  budget: Typed<PodDisruptionBudget>
  /** Of its namespace. */
  pods: readonly PodObject[]
  /** How many Pods the controller of a Pod wants, and which it is; undefined for a Pod that nobody who scales controls. */
  scaleOf(pod: PodObject): { uid: string; replicas: number } | undefined
}

/** An evicted Pod that is still there after this has not been evicted. */
const DELETION_TIMEOUT = 120_000

export function planDisruptionBudget({ budget, pods, scaleOf }: ObservedBudget, now: number): Plan<object> {
  const { spec, metadata } = budget
  if (metadata.deletionTimestamp !== undefined) return nothing()
  const before: Partial<PodDisruptionBudgetStatus> = budget.status ?? {}
  const selected = pods.filter(({ metadata: { labels } }) => selects(spec?.selector as never, labels))
  const running = selected.filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
  const disrupted = stillDisrupted(running, before.disruptedPods as Record<string, string> | undefined, now)
  const currentHealthy = running.filter(
    (pod) =>
      pod.metadata.deletionTimestamp === undefined &&
      !Object.hasOwn(disrupted, pod.metadata.name ?? '') &&
      isReady(pod),
  ).length
  const expected = expectation(spec ?? {}, running, scaleOf)
  const statusEvents: PlannedEvent[] = []
  if (running.length === 0) statusEvents.push(event('Normal', 'NoPods', 'No matching pods found'))
  if (!expected) {
    const message = 'found no controllers for a selected pod'
    const failed = { type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message } as const
    const observedGeneration = metadata.generation ?? 0
    const conditions = mergeConditions(
      before.conditions as Condition[] | undefined,
      [{ ...failed, observedGeneration }],
      { now },
    )
    const status = { ...zero(before), disruptionsAllowed: 0, observedGeneration, conditions }
    const told = event(
      'Warning',
      'CalculateExpectedPodCountFailed',
      `Failed to calculate the number of expected pods: ${message}`,
    )
    return { ...nothing(), status, statusEvents: [told] }
  }
  const spare = currentHealthy - expected.desiredHealthy
  const disruptionsAllowed = expected.expectedPods <= 0 ? 0 : Math.max(0, spare)
  const observedGeneration = metadata.generation ?? 0
  const enough = disruptionsAllowed > 0
  const condition = {
    type: 'DisruptionAllowed',
    status: enough ? 'True' : 'False',
    reason: enough ? 'SufficientPods' : 'InsufficientPods',
    message: '',
    observedGeneration,
  } as const
  const status = {
    disruptionsAllowed,
    currentHealthy,
    ...expected,
    observedGeneration,
    ...(Object.keys(disrupted).length > 0 && { disruptedPods: disrupted }),
    conditions: mergeConditions(before.conditions as Condition[] | undefined, [condition], { now }),
  }
  const recheck = Object.values(disrupted).map((time) => Date.parse(time) + DELETION_TIMEOUT)
  return { ...nothing(), status, statusEvents, ...(recheck.length > 0 && { requeueAt: Math.min(...recheck) }) }
}

function event(type: PlannedEvent['type'], reason: string, message: string): PlannedEvent {
  return { type, reason, action: reason, message }
}

function zero(status: Partial<PodDisruptionBudgetStatus>): Omit<PodDisruptionBudgetStatus, 'conditions'> {
  const { currentHealthy = 0, desiredHealthy = 0, expectedPods = 0, disruptedPods } = status
  return {
    disruptionsAllowed: 0,
    currentHealthy,
    desiredHealthy,
    expectedPods,
    ...(disruptedPods && { disruptedPods }),
  }
}

/** Evictions whose Pods have not gone yet. */
function stillDisrupted(
  pods: readonly PodObject[],
  known: Readonly<Record<string, string>> = {},
  now: number,
): Record<string, string> {
  const disrupted: Record<string, string> = {}
  for (const { metadata } of pods) {
    const name = metadata.name ?? ''
    if (metadata.deletionTimestamp !== undefined || !Object.hasOwn(known, name)) continue
    const time = known[name] as string
    if (Date.parse(time) + DELETION_TIMEOUT >= now) disrupted[name] = kubernetesTime(Date.parse(time))
  }
  return disrupted
}

function expectation(
  { minAvailable, maxUnavailable }: { minAvailable?: IntOrPercent; maxUnavailable?: IntOrPercent },
  pods: readonly PodObject[],
  scaleOf: ObservedBudget['scaleOf'],
): { expectedPods: number; desiredHealthy: number } | undefined {
  if (maxUnavailable === undefined && typeof minAvailable === 'number') {
    return { expectedPods: pods.length, desiredHealthy: minAvailable }
  }
  if (maxUnavailable === undefined && minAvailable === undefined) return { expectedPods: 0, desiredHealthy: 0 }
  const scales = new Map<string, number>()
  for (const pod of pods) {
    if (!pod.metadata.ownerReferences?.some(({ controller }) => controller)) continue
    const scale = scaleOf(pod)
    if (!scale) return undefined
    scales.set(scale.uid, scale.replicas)
  }
  const expectedPods = [...scales.values()].reduce((total, each) => total + each, 0)
  const desiredHealthy =
    maxUnavailable === undefined
      ? scaledValue(minAvailable as IntOrPercent, expectedPods, 'up')
      : Math.max(0, expectedPods - scaledValue(maxUnavailable, expectedPods, 'up'))
  return { expectedPods, desiredHealthy }
}
