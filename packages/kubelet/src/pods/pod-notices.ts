/**
 * How those that Pods are made from, and that do work for them, say that one is to be looked at again. They are there before
 * what runs Pods is; that looks at each Pod when it begins, so that nothing is lost of what was told to nobody.
 */

export type PodNotice =
  /** There may be something to do for it. */
  | 'look'
  /** What it is made from has changed: its volumes are made anew, and what failed is tried again. */
  | 'changed'
  /** The runtime is starting one of its containers, which can be attached to. */
  | 'starting'

export interface PodNotices {
  tell(uid: string, notice: PodNotice): void
  /** From now on, until it is disposed. */
  heed(listener: (uid: string, notice: PodNotice) => void): Disposable
}

export function createPodNotices(): PodNotices {
  const listeners = new Set<(uid: string, notice: PodNotice) => void>()
  return {
    tell(uid, notice) {
      for (const listener of listeners) listener(uid, notice)
    },
    heed(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}
