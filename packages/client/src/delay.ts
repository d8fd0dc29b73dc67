import { startTimer } from '@caisson/api'

/** Resolves after `ms`, however many they are, or rejects with the signal's reason as soon as it is aborted. */
export function abortableDelay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const timer = startTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    function onAbort(): void {
      timer[Symbol.dispose]()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** The promise, or a rejection with the signal's reason where that comes first. What the promise waits for goes on. */
export function abortable<V>(promise: Promise<V>, signal: AbortSignal): Promise<V> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Runs `work` with a signal that is aborted with `signal`, or after `ms` at the latest. */
export async function withDeadline<V>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<V>,
): Promise<V> {
  const deadline = new AbortController()
  const onAbort = () => deadline.abort(signal.reason)
  using _ = startTimer(ms, () => deadline.abort(new DOMException('it took too long', 'TimeoutError')))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await work(deadline.signal)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
