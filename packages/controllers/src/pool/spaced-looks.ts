/** Looks that cost the more the larger a pool is: those at one that changes all the time have pauses between them. */

export interface SpacedLooks extends Disposable {
  /** Has the key looked at once, however often it is added: at the end of this turn, or when the pause is over. */
  add(key: string): void
  /** Resolves when none waits to be looked at. */
  passed(): Promise<void>
}

interface SpacedLooksOptions {
  look(key: string): void
  /** ms from a look at a key to the next one at the earliest. */
  pauseOf(key: string): number
}

export function spaceLooks({ look, pauseOf }: SpacedLooksOptions): SpacedLooks {
  const wanted = new Set<string>()
  const pauses = new Map<string, NodeJS.Timeout>()
  let turn: NodeJS.Immediate | undefined
  let waiters: (() => void)[] = []

  function endTurn(): void {
    turn = undefined
    for (const key of wanted) {
      if (pauses.has(key)) continue
      wanted.delete(key)
      look(key)
      pauses.set(key, setTimeout(endPause, pauseOf(key), key))
    }
    if (wanted.size > 0) return
    for (const each of waiters) each()
    waiters = []
  }
  function endPause(key: string): void {
    pauses.delete(key)
    if (wanted.has(key)) turn ??= setImmediate(endTurn)
  }

  return {
    add(key) {
      wanted.add(key)
      if (!pauses.has(key)) turn ??= setImmediate(endTurn)
    },
    async passed() {
      if (wanted.size > 0) await new Promise<void>((resolve) => waiters.push(resolve))
    },
    [Symbol.dispose]() {
      clearImmediate(turn)
      for (const pause of pauses.values()) clearTimeout(pause)
      wanted.clear()
      for (const each of waiters) each()
    },
  }
}
