/** Which revisions can have been the newest at a moment: from what was shown by then, and what was only asked for later. */

export interface Timeline {
  /** The highest revision that anybody had been shown by `at`. */
  floor(at: number): number
  /** Below the lowest revision of what was asked for only after `at`. */
  ceiling(at: number): number
}

export interface Sighting {
  at: number
  revision: number
}

/**
 * @param shown a revision, and when somebody had seen it
 * @param asked the revision that a write got, and when it was asked for
 */
export function createTimeline(shown: readonly Sighting[], asked: readonly Sighting[]): Timeline {
  const upTo = shown.toSorted((a, b) => a.at - b.at)
  let highest = 0
  const floors = upTo.map(({ revision }) => (highest = Math.max(highest, revision)))
  const from = asked.toSorted((a, b) => b.at - a.at)
  let lowest = Infinity
  const ceilings = from.map(({ revision }) => (lowest = Math.min(lowest, revision)))
  return {
    floor: (at) => floors[firstIndex(upTo.length, (index) => (upTo[index] as Sighting).at > at) - 1] ?? 0,
    ceiling: (at) =>
      (ceilings[firstIndex(from.length, (index) => (from[index] as Sighting).at <= at) - 1] ?? Infinity) - 1,
  }
}

/** The first index for which `holds`, which is false up to some index and true from there on; `length` where it never is. */
export function firstIndex(length: number, holds: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
