/**
 * Completion indexes, of which a Job may have two thousand millions: kept as the intervals that its status has them in,
 * `0-2,4`.
 */
export interface Indexes {
  readonly size: number
  has(index: number): boolean
  add(index: number): void
  /** The first from this one on that is none of them. */
  firstOut(index: number): number
  /** How many are among the others too. */
  countIn(others: Indexes): number
  readonly intervals: readonly Interval[]
}

/** From the first to the last, both included. */
type Interval = readonly [first: number, last: number]

/** @param text as a status or a policy has it; what is not below `completions`, or no interval, is left out */
export function parseIndexes(text: string | undefined, completions: number): Indexes {
  const intervals: Interval[] = []
  for (const part of text ? text.split(',') : []) {
    const [first = NaN, last = first] = part.split('-').map(Number)
    if (first <= Math.min(last, completions - 1)) intervals.push([first, Math.min(last, completions - 1)])
  }
  return createIndexes(joined(intervals))
}

export function formatIndexes({ intervals }: Indexes): string {
  return intervals
    .map(([first, last]) => {
      if (first === last) return String(first)
      return last === first + 1 ? `${first},${last}` : `${first}-${last}`
    })
    .join(',')
}

/** In order, none of them next to another. */
function joined(intervals: readonly Interval[]): Interval[] {
  const all: Interval[] = []
  for (const [first, last] of intervals.toSorted(([a], [b]) => a - b)) {
    const before = all.at(-1)
    if (before && first <= before[1] + 1) all[all.length - 1] = [before[0], Math.max(before[1], last)]
    else all.push([first, last])
  }
  return all
}

function createIndexes(intervals: Interval[]): Indexes {
  let size = intervals.reduce((total, [first, last]) => total + last - first + 1, 0)

  /** Of the first interval that does not end before the index. */
  function position(index: number): number {
    let [low, high] = [0, intervals.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((intervals[middle] as Interval)[1] < index) low = middle + 1
      else high = middle
    }
    return low
  }

  function around(index: number): Interval | undefined {
    const found = intervals[position(index)]
    return found && found[0] <= index ? found : undefined
  }

  return {
    intervals,
    get size() {
      return size
    },
    has: (index) => around(index) !== undefined,
    firstOut: (index) => (around(index)?.[1] ?? index - 1) + 1,
    add(index) {
      if (around(index)) return
      const at = position(index)
      const [before, after] = [intervals[at - 1], intervals[at]]
      const joinsBefore = before?.[1] === index - 1
      const joinsAfter = after?.[0] === index + 1
      const made: Interval = [joinsBefore ? before[0] : index, joinsAfter ? after[1] : index]
      intervals.splice(joinsBefore ? at - 1 : at, Number(joinsBefore) + Number(joinsAfter), made)
      size++
    },
    countIn(others) {
      let count = 0
      let next = 0
      for (const [first, last] of intervals) {
        for (; next < others.intervals.length; next++) {
          const [from, to] = others.intervals[next] as Interval
          if (from > last) break
          count += Math.max(0, Math.min(last, to) - Math.max(first, from) + 1)
          if (to > last) break
        }
      }
      return count
    },
  }
}
