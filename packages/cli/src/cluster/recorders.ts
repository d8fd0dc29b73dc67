import { type Client, createEventRecorder } from '@caisson/client'

/**
 * A Pod that starts has six events, of 3 ms each. They wait until its sandbox is being made, and the last of them for the
 * first output.
 */
export const EVENTS_GATHER_MS = 50

/** Whoever writes events, each under its own component's name. Disposing writes what is still to be written. */
export interface Recorders extends AsyncDisposable {
  of(client: Client, component: string): ReturnType<typeof createEventRecorder>
}

export function createRecorders(): Recorders {
  const recorders = new Map<string, ReturnType<typeof createEventRecorder>>()
  return {
    of(client, component) {
      const known = recorders.get(component) ?? createEventRecorder(client, { component, gather: EVENTS_GATHER_MS })
      recorders.set(component, known)
      return known
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...recorders.values()].map((recorder) => recorder[Symbol.asyncDispose]()))
    },
  }
}
