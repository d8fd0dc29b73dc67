/**
 * Whether one order of all calls, each within the time between its beginning and its end, explains every answer (Wing and
 * Gong's question, answered just in time: a call is given its place no sooner than when it, or one that needs it, ends).
 *
 * It costs 2^n for n calls that overlap; the calls of one object are few at a time.
 */

export interface Call<State> {
  began: number
  /** By then it has happened, or it never does. */
  ended: number
  /** Every state that may follow this one; none where the answer is impossible here. States are plain JSON. */
  step(state: State): readonly State[]
}

interface Configuration<State> {
  state: State
  /** Open calls that have happened already. */
  done: ReadonlySet<number>
}

/**
 * Undefined where there is such an order; otherwise the index of the first call whose end leaves none: the calls that
 * began before it ended show it.
 */
export function firstImpossible<State>(calls: readonly Call<State>[], initial: State): number | undefined {
  const moments = calls.flatMap(({ began, ended }, index) => [
    { at: began, ends: false, index },
    { at: ended, ends: true, index },
  ])
  // At the same moment all overlap.
  moments.sort((a, b) => compare(a.at, b.at) || Number(a.ends) - Number(b.ends) || a.index - b.index)
  const open = new Set<number>()
  let configurations: Configuration<State>[] = [{ state: initial, done: new Set() }]
  for (const { ends, index } of moments) {
    if (!ends) {
      open.add(index)
      continue
    }
    configurations = settle(configurations, { calls, open, index })
    if (configurations.length === 0) return index
    open.delete(index)
  }
  return undefined
}

/** All configurations that can follow these and in which the call has happened. */
function settle<State>(
  configurations: readonly Configuration<State>[],
  { calls, open, index }: { calls: readonly Call<State>[]; open: ReadonlySet<number>; index: number },
): Configuration<State>[] {
  const known = new Set<string>()
  const settled: Configuration<State>[] = []
  const waiting = [...configurations]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const key = `${[...next.done].sort((a, b) => a - b).join()} ${JSON.stringify(next.state)}`
    if (known.has(key)) continue
    known.add(key)
    if (next.done.has(index)) {
      const done = new Set(next.done)
      done.delete(index)
      settled.push({ state: next.state, done })
      continue
    }
    for (const each of open) {
      if (next.done.has(each)) continue
      const done = new Set(next.done).add(each)
      for (const state of (calls[each] as Call<State>).step(next.state)) waiting.push({ state, done })
    }
  }
  return settled
}

/** Infinity is as late as itself. */
function compare(a: number, b: number): number {
  return a < b ? -1 : Number(a > b)
}
