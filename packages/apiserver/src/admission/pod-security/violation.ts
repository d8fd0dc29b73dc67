/** How the checks of Pod Security say what is wrong. */
import type { Container, PodView } from '../pod-shape.ts'

export interface Violation {
  /** A few words, such as `host namespaces`. */
  reason: string
  /** Who does what, such as `container "c" must not set securityContext.privileged=true`. */
  detail: string
}

export interface Check {
  id: string
  /** The first minor version that makes this check. */
  since: number
  /** @param minor the version that is asked for, never newer than the newest known */
  find(pod: PodView, minor: number): Violation | undefined
  /** Checks of the baseline level that this one of the restricted level takes the place of. */
  replaces?: string
}

/** Text as it is, and anything else as JSON: in a template of a custom resource, even `toString` can be a number. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

export function quoted(texts: Iterable<unknown>): string {
  return [...texts].map((text) => `"${textOf(text)}"`).join(', ')
}

export function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`
}

/** `container "a"`, or `containers "a", "b"`. */
export function containersNamed(containers: readonly Container[]): string {
  return `${plural('container', containers.length)} ${quoted(containers.map(({ name }) => name ?? ''))}`
}

/** `pod and container "a"`: those of the Pod and its containers that set something. */
export function setters(pod: boolean, containers: readonly Container[]): string {
  return [...(pod ? ['pod'] : []), ...(containers.length > 0 ? [containersNamed(containers)] : [])].join(' and ')
}

export function sorted(texts: Iterable<unknown>): string[] {
  return [...new Set([...texts].map(textOf))].sort()
}
