/** The lines in which two JSON values differ, as a person reads them: what was with a minus, what is with a plus. */
export function differences(before: unknown, after: unknown): string {
  const lines: string[] = []
  compare(before, after, '', lines)
  return lines.join('\n')
}

/** More would only fill logs. */
const MAX_LINES = 50
const MAX_LENGTH = 1000

function compare(before: unknown, after: unknown, path: string, lines: string[]): void {
  if (lines.length >= MAX_LINES) return
  if (isContainer(before) && isContainer(after) && Array.isArray(before) === Array.isArray(after)) {
    const [left, right] = [before as Record<string, unknown>, after as Record<string, unknown>]
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      compare(own(left, key), own(right, key), Array.isArray(before) ? `${path}[${key}]` : `${path}.${key}`, lines)
    }
    return
  }
  const [was, is] = [JSON.stringify(before), JSON.stringify(after)]
  if (was === is) return
  if (was !== undefined) lines.push(`- ${path.slice(1)}: ${was}`.slice(0, MAX_LENGTH))
  if (is !== undefined) lines.push(`+ ${path.slice(1)}: ${is}`.slice(0, MAX_LENGTH))
}

function own(object: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function isContainer(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
