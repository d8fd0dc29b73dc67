/** ms, some 25 days: a timer of Node's that is set for longer ends after one millisecond, or is refused. */
export const LONGEST_TIMER = 2 ** 31 - 1

/**
 * Calls back once, after `ms`, however many they are. Disposing calls it off.
 *
 * @param options.ref false where the process may end before
 */
export function startTimer(ms: number, callback: () => void, { ref = true }: { ref?: boolean } = {}): Disposable {
  let timer: NodeJS.Timeout | undefined
  function wait(left: number): void {
    timer = setTimeout(
      left > LONGEST_TIMER ? () => wait(left - LONGEST_TIMER) : callback,
      Math.min(left, LONGEST_TIMER),
    )
    if (!ref) timer.unref()
  }
  wait(ms)
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
