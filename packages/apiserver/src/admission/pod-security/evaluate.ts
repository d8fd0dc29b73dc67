/** Whether a Pod meets a level of Pod Security. */
import type { PodView } from '../pod-shape.ts'
import { BASELINE_CHECKS } from './baseline-checks.ts'
import { LATEST, type LevelVersion } from './policy.ts'
import { RESTRICTED_CHECKS } from './restricted-checks.ts'
import type { Violation } from './violation.ts'

/** All that keeps a Pod from meeting the level, in the order in which Kubernetes lists it; empty where it meets it. */
export function violations(pod: PodView, { level, version }: LevelVersion): Violation[] {
  if (level === 'privileged') return []
  const minor = version === 'latest' ? LATEST : Math.min(version, LATEST)
  const restricted = level === 'restricted' ? RESTRICTED_CHECKS.filter(({ since }) => since <= minor) : []
  const replaced = restricted.map(({ replaces }) => replaces)
  const baseline = BASELINE_CHECKS.filter(({ id, since }) => since <= minor && !replaced.includes(id))
  return [...baseline, ...restricted].flatMap((check) => check.find(pod, minor) ?? [])
}

/** `privileged (container "c" must not set …), host namespaces (hostPID=true)`. */
export function describeViolations(found: readonly Violation[]): string {
  return found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ')
}
