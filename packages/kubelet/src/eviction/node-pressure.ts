/** When a node is short of something and which Pod has to go for it: pure, with the kubelet's thresholds and words. */
import { podResource } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Eviction } from '../pods/observed-pod.ts'
import { specOf } from '../pods/observed-pod.ts'

export type Pressure = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'

/** Bytes, or pieces. */
interface Amount {
  available: number
  capacity: number
}

export interface NodeReadings {
  memory: Amount
  disk: Amount
  inodes: Amount
  tasks: Amount
}

export interface Shortage {
  pressure: Pressure
  /** As Pods are told; that of tasks is nobody's to ask for. */
  resource: 'memory' | 'ephemeral-storage' | 'inodes' | 'pids'
  available: number
  threshold: number
}

const MIB = 1024 * 1024

/** kubelet's hard thresholds; it has none for tasks, of which the last percent is ours. */
const THRESHOLDS: ReadonlyArray<[keyof NodeReadings, Pressure, Shortage['resource'], (capacity: number) => number]> = [
  ['memory', 'MemoryPressure', 'memory', () => 100 * MIB],
  ['disk', 'DiskPressure', 'ephemeral-storage', (capacity) => Math.floor(capacity / 10)],
  ['inodes', 'DiskPressure', 'inodes', (capacity) => Math.floor(capacity / 20)],
  ['tasks', 'PIDPressure', 'pids', (capacity) => Math.floor(capacity / 100)],
]

/** Memory first: it is the most urgent. A file system that counts no inodes is short of none. */
export function shortagesOf(readings: NodeReadings): Shortage[] {
  return THRESHOLDS.flatMap(([signal, pressure, resource, thresholdOf]) => {
    const { available, capacity } = readings[signal]
    const threshold = thresholdOf(capacity)
    return capacity > 0 && available < threshold ? [{ pressure, resource, available, threshold }] : []
  })
}

export interface Candidate {
  pod: PodObject
  /** What it uses of what the node is short of; infinite where that is more than can be measured. */
  usage: number
}

/** From here on Pods are the system's own. */
const CRITICAL_PRIORITY = 2_000_000_000

/**
 * The Pod that has to go, as kubelet ranks them: who uses more than it asked for before who does not, then the lowest
 * priority, then who is the furthest above what it asked for. Undefined where all are the system's own, or use nothing.
 */
export function victimOf({ resource }: Shortage, candidates: readonly Candidate[]): Candidate | undefined {
  const above = ({ pod, usage }: Candidate): number => usage - requestOf(pod, resource)
  const priority = ({ pod }: Candidate): number => specOf(pod).priority ?? 0
  return candidates
    .filter((each) => priority(each) < CRITICAL_PRIORITY && each.usage > 0)
    .toSorted(
      (a, b) => Number(above(b) > 0) - Number(above(a) > 0) || priority(a) - priority(b) || above(b) - above(a),
    )[0]
}

export function evictionFor({ resource, threshold, available }: Shortage, { pod, usage }: Candidate): Eviction {
  const request = requestOf(pod, resource)
  const text = (amount: number): string => {
    if (!Number.isFinite(amount)) return 'more than the node can measure'
    return resource === 'memory' || resource === 'ephemeral-storage' ? kibibytes(amount) : String(amount)
  }
  const low = `The node was low on resource: ${resource}. Threshold quantity: ${text(threshold)}, available: ${text(available)}. `
  if (usage <= request) return { reason: 'Evicted', message: low }
  const names = specOf(pod).containers.map(({ name }) => name)
  const who = names.length === 1 ? `Container ${names[0]}` : `The Pod's containers`
  return {
    reason: 'Evicted',
    message: `${low}${who} was using ${text(usage)}, request is ${text(request)}, has larger consumption of ${resource}. `,
  }
}

function requestOf(pod: PodObject, resource: Shortage['resource']): number {
  return resource === 'memory' || resource === 'ephemeral-storage'
    ? (podResource(specOf(pod), 'requests', resource) ?? 0)
    : 0
}

function kibibytes(bytes: number): string {
  return bytes === 0 ? '0' : `${Math.floor(bytes / 1024)}Ki`
}
