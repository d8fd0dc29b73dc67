/** Remembers what failed, so that the next plan waits for it: longer each time it fails again. */
import type { PodMemory } from './pod-memory.ts'
import { retryDelay } from './restart-back-off.ts'

/** Doubling from the first to the longest wait, ms. */
export interface Retry {
  first: number
  most: number
}

/** Of one container, which waits alone. `now`, as everywhere, in ms since the epoch. */
export function noteFailure(
  memory: PodMemory,
  container: string,
  failure: { reason: string; message: string; retry: Retry; now: number; ofImage?: boolean },
): void {
  const { reason, message, retry, now, ofImage = false } = failure
  const count = (memory.failures.get(container)?.count ?? 0) + 1
  memory.failures.set(container, { reason, message, count, retryAt: now + retryDelay(count, retry), ofImage })
}

/** Of the whole Pod. */
export function noteSetback(
  memory: PodMemory,
  { retry, now, waiting }: { retry: Retry; now: number; waiting?: { reason: string; message: string } },
): void {
  const count = (memory.setback?.count ?? 0) + 1
  memory.setback = { count, retryAt: now + retryDelay(count, retry), ...(waiting && { waiting }) }
}

/** Containers whose image was not there may look for it at once. No registry is asked for that before its time. */
export function lookForImagesAgain({ failures }: PodMemory, now: number): void {
  for (const failure of failures.values()) if (failure.ofImage) failure.retryAt = now
}

/** Of the Pod, its containers and its images: what failed may be tried at once. */
export function forgetSetbacks(memory: PodMemory): void {
  memory.setback = undefined
  memory.failures.clear()
  for (const [name, { kind }] of memory.images) if (kind === 'failed') memory.images.delete(name)
}
