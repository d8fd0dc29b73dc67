/** Sets of completion indexes, and the text in which a Job's status has them: `0-2,4`. */

export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>()
  for (const part of text ? text.split(',') : []) {
    const [first = NaN, last = first] = part.split('-').map(Number)
    for (let index = first; index <= Math.min(last, completions - 1); index++) indexes.add(index)
  }
  return indexes
}

export function formatIndexes(indexes: ReadonlySet<number>): string {
  const parts: string[] = []
  let first: number | undefined
  let last = 0
  const close = (): void => {
    if (first !== undefined)
      parts.push(first === last ? String(first) : last === first + 1 ? `${first},${last}` : `${first}-${last}`)
  }
  for (const index of [...indexes].sort((a, b) => a - b)) {
    if (first !== undefined && index === last + 1) last = index
    else {
      close()
      first = index
      last = index
    }
  }
  close()
  return parts.join(',')
}
