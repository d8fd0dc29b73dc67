/** What a timer of Node's takes, in ms. What `@caisson/api` has for longer waits is not for this package, which imports none. */
const LONGEST_TIMER = 2 ** 31 - 1

/** False where it takes longer than so many ms, however many they are. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    const wait = (left: number): void => {
      timer = setTimeout(
        () => (left > LONGEST_TIMER ? wait(left - LONGEST_TIMER) : resolve(false)),
        Math.min(left, LONGEST_TIMER),
      )
    }
    wait(ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
