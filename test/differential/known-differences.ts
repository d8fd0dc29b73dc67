/**
 * Where the embedded API server answers otherwise than kube-apiserver, on purpose. docs/compatibility.md says the same to
 * users; at most 30, each with its reason.
 */
export interface KnownDifference {
  reason: string
  /** Of the step; every step where it is left out. */
  label?: RegExp
  /** Of the difference as it is printed: `body.items: 1 elements != 2`. */
  difference: RegExp
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = []

/** The reason why this difference is there, or undefined where it must not be. */
export function knownDifference(label: string, difference: string): string | undefined {
  return KNOWN_DIFFERENCES.find((known) => (known.label?.test(label) ?? true) && known.difference.test(difference))
    ?.reason
}
