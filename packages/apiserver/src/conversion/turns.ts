/** A bounded number of things at once, the rest in order of arrival, and an end to how many wait and for how long. */

export interface TurnsOptions {
  atOnce: number
  mostWaiting: number
  longestWaitMs: number
}

/** Why no turn came. */
export class NoTurn extends Error {
  override readonly name = 'NoTurn'
  readonly reason: 'full' | 'late'
  constructor(reason: NoTurn['reason']) {
    super(reason === 'full' ? 'too many are waiting' : 'waited too long')
    this.reason = reason
  }
}

/** Runs what it is given in its turn. Rejects with NoTurn where none comes. */
export type Turns = <T>(run: () => Promise<T>) => Promise<T>

export function createTurns({ atOnce, mostWaiting, longestWaitMs }: TurnsOptions): Turns {
  const waiting = new Set<() => void>()
  let running = 0

  function turn(): Promise<void> {
    if (running < atOnce) {
      running++
      return Promise.resolve()
    }
    if (waiting.size >= mostWaiting) return Promise.reject(new NoTurn('full'))
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.delete(begin)
        reject(new NoTurn('late'))
      }, longestWaitMs)
      const begin = (): void => {
        clearTimeout(late)
        resolve()
      }
      waiting.add(begin)
    })
  }

  return async (run) => {
    await turn()
    try {
      return await run()
    } finally {
      const [next] = waiting
      if (next) {
        waiting.delete(next)
        next()
      } else running--
    }
  }
}
