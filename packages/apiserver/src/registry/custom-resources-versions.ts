/**
 * Kubernetes' order of API versions, the best one first: v2 before v1, v1 before v1beta2 before v1beta1 before v1alpha1,
 * and everything that is no such version after them by name.
 */
export function comparePriority(a: string, b: string): number {
  const [first, second] = [parse(a), parse(b)]
  if (!first || !second) return first ? -1 : second ? 1 : a < b ? -1 : a > b ? 1 : 0
  return second.stability - first.stability || second.major - first.major || second.minor - first.minor
}

const STABILITY = { alpha: 0, beta: 1 } as const

function parse(version: string): { stability: number; major: number; minor: number } | undefined {
  const found = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version)
  if (!found) return undefined
  const [, major, stage, minor] = found
  return {
    stability: stage ? STABILITY[stage as 'alpha' | 'beta'] : 2,
    major: Number(major),
    minor: Number(minor ?? 0),
  }
}
