import type { PodObject, ResourceEvent } from '@caisson/client'
import { CliError } from '../cli-error.ts'

export interface RunningPod {
  /** Resolves with the first state for which `wanted` says something. Rejects when the Pod is deleted. */
  when<T>(wanted: (pod: PodObject) => T | undefined): Promise<T>
}

/** Remembers the last state of a Pod, for whoever waits for one. */
export function followPod(events: AsyncIterable<ResourceEvent<PodObject>>): RunningPod {
  let last: PodObject | undefined
  let ended: unknown
  const listeners = new Set<() => void>()
  void (async () => {
    try {
      for await (const event of events) {
        if (event.type === 'ADDED' || event.type === 'MODIFIED') last = event.object
        if (event.type === 'DELETED') {
          last = event.object
          ended = new CliError('failed', 'the sandbox was deleted while it ran')
        }
        for (const listener of listeners) listener()
        if (ended) return
      }
      ended = new CliError('unavailable', 'the connection to the cluster ended')
    } catch (error) {
      ended = error
    }
    for (const listener of listeners) listener()
  })()
  return {
    when: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): boolean => {
          const found = last && wanted(last)
          if (found === undefined && ended === undefined) return false
          listeners.delete(look)
          if (found !== undefined) resolve(found)
          else reject(ended)
          return true
        }
        if (!look()) listeners.add(look)
      }),
  }
}
