import type { PolicyPod } from './policy-model.ts'

/**
 * What was found out about a Pod, while it and all that it was found out `from` are the same objects: Pods ask for names
 * and hold connections far more often than policies change.
 */
export function rememberByPod<T>(): (pod: PolicyPod, from: readonly unknown[], find: () => T) => T {
  const found = new WeakMap<PolicyPod, { from: readonly unknown[]; value: T }>()
  return (pod, from, find) => {
    const known = found.get(pod)
    if (known?.from.every((each, index) => each === from[index])) return known.value
    const value = find()
    found.set(pod, { from, value })
    return value
  }
}
