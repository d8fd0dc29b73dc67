/** Lists of indexes as Jobs write them: `1,3-5,7`. */

class IndexesError extends Error {
  override readonly name = 'IndexesError'
  readonly code = 'BAD_INDEXES'
}

type Interval = readonly [first: number, last: number]

/**
 * How many indexes the text names.
 *
 * @param completions all are below it
 * @throws IndexesError in the words of kube-apiserver
 */
export function countIndexes(text: string, completions: number): number {
  let total = 0
  let before: number | undefined
  for (const part of text === '' ? [] : text.split(',')) {
    const [first, last] = parseInterval(part, completions)
    if (before !== undefined && before >= first) {
      throw new IndexesError(`non-increasing order, previous: ${before}, current: ${first}`)
    }
    total += last - first + 1
    before = last
  }
  return total
}

function parseInterval(text: string, completions: number): Interval {
  const limits = text.split('-')
  if (limits.length > 2) {
    const said = "violates the requirement that an index interval can have at most two parts separated by '-'"
    throw new IndexesError(`the fragment ${JSON.stringify(text)} ${said}`)
  }
  const [first = 0, last] = limits.map((limit) => {
    const quoted = JSON.stringify(limit)
    if (!/^[+-]?[0-9]+$/.test(limit)) throw new IndexesError(`cannot convert string to integer for index: ${quoted}`)
    if (Number(limit) >= completions) throw new IndexesError(`too large index: ${quoted}`)
    return Number(limit)
  })
  if (last === undefined) return [first, first]
  if (first >= last) throw new IndexesError(`non-increasing order, previous: ${first}, current: ${last}`)
  return [first, last]
}

/** The first index that both name; undefined where none is, parts that are no intervals left out. */
export function overlappingIndex(completed: string, failed: string, completions: number): number | undefined {
  const left = readable(completed, completions)
  const right = readable(failed, completions)
  let [a, b] = [0, 0]
  while (a < left.length && b < right.length) {
    const [one, other] = [left[a] as Interval, right[b] as Interval]
    if (one[0] <= other[1] && other[0] <= one[1]) return Math.max(one[0], other[0])
    if (one[0] <= other[0]) a++
    else b++
  }
  return undefined
}

function readable(text: string, completions: number): Interval[] {
  if (text === '') return []
  return text.split(',').flatMap((part) => {
    try {
      return [parseInterval(part, completions)]
    } catch {
      return []
    }
  })
}
