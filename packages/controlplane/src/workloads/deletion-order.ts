/** Which Pods go first when there are too many. */
import type { PodObject } from '@caisson/client'
import { isReady } from './pods.ts'

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

/**
 * The `count` Pods that are missed least, by Kubernetes' rules: unassigned before assigned, pending before running,
 * not ready before ready, cheap before dear, on a node with many of their kind before alone, young before old.
 *
 * @param related also those that count as their kind on a node
 * @param now ms since the epoch
 */
export function leastMissed(
  pods: readonly PodObject[],
  count: number,
  { related, now }: { related: readonly PodObject[]; now: number },
): PodObject[] {
  if (count >= pods.length) return [...pods]
  const crowd = new Map<string, number>()
  for (const { spec } of related) {
    if (spec?.nodeName) crowd.set(spec.nodeName, (crowd.get(spec.nodeName) ?? 0) + 1)
  }
  const ranked = pods.map((pod) => ({ pod, key: sortKey(pod, crowd.get(pod.spec?.nodeName ?? '') ?? 0, now) }))
  ranked.sort((a, b) => compare(a.key, b.key) || ((a.pod.metadata.name ?? '') < (b.pod.metadata.name ?? '') ? -1 : 1))
  return ranked.slice(0, count).map(({ pod }) => pod)
}

function sortKey(pod: PodObject, crowd: number, now: number): number[] {
  const { spec, status, metadata } = pod
  const ready = isReady(pod)
  const condition = status?.conditions?.find(({ type }) => type === 'Ready')
  const restarts = Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount))
  return [
    spec?.nodeName ? 1 : 0,
    PHASES[status?.phase ?? 'Unknown'] ?? 1,
    ready ? 1 : 0,
    Number(metadata.annotations?.[DELETION_COST] ?? 0) || 0,
    -crowd,
    // Of two ready ones the one that became so later; only orders of magnitude count, so that it is not always the same.
    ready ? -magnitude(now - Date.parse((condition?.lastTransitionTime as string | undefined) ?? '')) * -1 : 0,
    -restarts,
    magnitude(now - Date.parse(metadata.creationTimestamp ?? '')),
  ]
}

function magnitude(ms: number): number {
  return ms > 0 ? Math.floor(Math.log2(ms)) : 0
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, left] of a.entries()) {
    const difference = left - (b[index] as number)
    if (difference) return difference
  }
  return 0
}
