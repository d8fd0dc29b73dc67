/**
 * What may take minutes of the start of a Pod, since its volumes hold as much as whoever writes to them likes: done beside
 * the passes, which go on with the Pod at its end, and fair between namespaces.
 */
import { limitShares } from '@caisson/api'
import type { PodObject } from '@caisson/client'

/** Each is a thread or a program that the disk keeps waiting most of the time. */
const AT_ONCE = { all: 16, each: 2 }

/** What is going on for a Pod, or was done, remembered with it. */
export type WorkState =
  | { kind: 'going-on'; stop: AbortController; ended: Promise<void> }
  | { kind: 'done' }
  | { kind: 'failed'; error: unknown }

/** Of one Pod, by what the work is. */
export type WorkStates = Map<string, WorkState>

/** Thrown where a Pod has to wait for its work: no failure. */
export class WorkGoesOn extends Error {
  override readonly name = 'WorkGoesOn'
}

/** Disposing gives up all of it. */
export interface PodWork extends AsyncDisposable {
  /**
   * Resolves where the work was done for the Pod. Else begins it where nobody has, and throws a WorkGoesOn until its end,
   * of which `onEnded` tells; throws once what it failed with.
   */
  require(request: {
    pod: PodObject
    states: WorkStates
    name: string
    work: (signal: AbortSignal) => Promise<void>
  }): Promise<void>
  /** Gives up what goes on for a Pod and forgets what was done. Resolves when nothing of it is going on. */
  cancel(states: WorkStates): Promise<void>
}

export function createPodWork(onEnded: (uid: string) => void): PodWork {
  const shared = limitShares(AT_ONCE)
  const goingOn = new Map<Promise<void>, AbortController>()

  async function stop(ended: Promise<void>, controller: AbortController): Promise<void> {
    controller.abort(new Error('nobody needs it any more'))
    await ended
  }

  return {
    async require({ pod, states, name, work }) {
      const state = states.get(name)
      if (state?.kind === 'done') return
      if (state?.kind === 'failed') {
        states.delete(name)
        throw state.error
      }
      if (!state) {
        const stop = new AbortController()
        const { namespace = '', uid = '' } = pod.metadata
        const end = async (): Promise<void> => {
          let result: WorkState = { kind: 'done' }
          try {
            await shared(namespace, () => work(stop.signal), stop.signal)
          } catch (error) {
            result = { kind: 'failed', error }
          }
          goingOn.delete(ended)
          if (stop.signal.aborted) return
          states.set(name, result)
          onEnded(uid)
        }
        const ended = end()
        goingOn.set(ended, stop)
        states.set(name, { kind: 'going-on', stop, ended })
      }
      throw new WorkGoesOn(`${name} goes on`)
    },
    async cancel(states) {
      const all = [...states.values()].filter((state) => state.kind === 'going-on')
      states.clear()
      await Promise.all(all.map((state) => stop(state.ended, state.stop)))
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...goingOn].map(([ended, controller]) => stop(ended, controller)))
    },
  }
}
