/** fsGroup: makes a volume's files belong to a group that all containers of the Pod are in. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { OwnershipAnswer, OwnershipRequest } from './ownership-worker.ts'
import { VolumeError } from './volume-error.ts'

/** A million files take half a minute; something may go on making more. */
const LONGEST_MS = 5 * 60_000
/** It holds on to no more than the way down to one file. */
const MOST_MEMORY_MB = 64

export interface OwnershipOptions extends Omit<OwnershipRequest, 'directory'> {
  /** Ends it half-way; rejects with its reason. */
  signal: AbortSignal
  /** Default 5 minutes. */
  longestMs?: number
}

/**
 * Gives all of a volume to a group, on a thread of its own. What runs may use the volume meanwhile. Throws a VolumeError
 * where it takes too long, and where it fails, as with directories that are nested too deep.
 */
export async function giveToGroup(directory: string, options: OwnershipOptions): Promise<void> {
  const { signal, longestMs = LONGEST_MS, ...wanted } = options
  signal.throwIfAborted()
  const limit = AbortSignal.timeout(longestMs)
  const request: OwnershipRequest = { directory, ...wanted }
  const worker = new Worker(new URL('./ownership-worker.ts', import.meta.url), {
    workerData: request,
    resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY_MB },
    // What this process was started with (an inspector, a test runner) is not for the thread.
    execArgv: [],
  })
  try {
    const [{ failure }] = (await once(worker, 'message', { signal: AbortSignal.any([signal, limit]) })) as [
      OwnershipAnswer,
    ]
    if (failure !== undefined) throw new VolumeError(failure)
  } catch (error) {
    signal.throwIfAborted()
    if (!limit.aborted) throw error
    throw new VolumeError(`giving its files to the group took longer than ${longestMs / 1000} s`, { cause: error })
  } finally {
    await worker.terminate()
  }
}
