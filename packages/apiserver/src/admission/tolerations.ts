/** What Pods tolerate beyond what they say. */
import { isDeepStrictEqual } from 'node:util'
import type { Toleration } from 'kubernetes-types/core/v1.js'
import { list, type PodSpec } from './pod-shape.ts'

const GRACE_SECONDS = 300
const NODE_TROUBLES = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const

/** A Pod stays for five minutes on a node in trouble, unless it says otherwise. */
export function addDefaultTolerations(spec: PodSpec): void {
  const given = list(spec.tolerations)
  const added = NODE_TROUBLES.filter(
    (trouble) =>
      !given.some(
        ({ key = '', effect = '' }) => (key === trouble || key === '') && (effect === 'NoExecute' || effect === ''),
      ),
  ).map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: GRACE_SECONDS }))
  if (added.length > 0) spec.tolerations = [...given, ...added]
}

/** Both lists as one, without those that another one includes. */
export function mergeTolerations(first: readonly Toleration[], second: readonly Toleration[]): Toleration[] {
  const all = [...first, ...second]
  const merged: Toleration[] = []
  for (const [index, toleration] of all.entries()) {
    const redundant =
      merged.some((other) => includes(other, toleration)) ||
      all.slice(index + 1).some((other) => !isDeepStrictEqual(other, toleration) && includes(other, toleration))
    if (!redundant) merged.push(toleration)
  }
  return merged
}

/** Whether `wide` tolerates all that `narrow` does. */
function includes(wide: Toleration, narrow: Toleration): boolean {
  if (isDeepStrictEqual(wide, narrow)) return true
  const { key = '', operator = 'Equal', effect = '', value = '', tolerationSeconds: limit } = wide
  if (key !== (narrow.key ?? '') && (key !== '' || operator !== 'Exists')) return false
  if (effect !== '' && effect !== (narrow.effect ?? '')) return false
  if (effect === 'NoExecute' && limit !== undefined && limit !== null) {
    const { tolerationSeconds } = narrow
    if (tolerationSeconds === undefined || tolerationSeconds === null || tolerationSeconds > limit) return false
  }
  if (operator === 'Exists') return true
  return operator === 'Equal' && narrow.operator === 'Equal' && (narrow.value ?? '') === value
}
