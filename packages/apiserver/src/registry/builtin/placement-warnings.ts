/** What kube-apiserver warns about in where Pods may run: labels of nodes that are old, and selectors that select nothing. */
import type { NodeSelectorTerm, PodAffinityTerm, PodSpec } from 'kubernetes-types/core/v1.js'
import { labelValueErrors } from '../names.ts'

/** As in kube-apiserver's `pkg/api/node/util.go`. */
const DEPRECATED_NODE_LABELS = new Map([
  ['beta.kubernetes.io/arch', 'deprecated since v1.14; use "kubernetes.io/arch" instead'],
  ['beta.kubernetes.io/os', 'deprecated since v1.14; use "kubernetes.io/os" instead'],
  ['failure-domain.beta.kubernetes.io/region', 'deprecated since v1.17; use "topology.kubernetes.io/region" instead'],
  ['failure-domain.beta.kubernetes.io/zone', 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'],
  ['beta.kubernetes.io/instance-type', 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'],
  ['app.kubernetes.io/created-by', 'deprecated since v1.9'],
  ['scheduler.alpha.kubernetes.io/preferAvoidPods', 'deprecated since v1.22; use Taints and Tolerations instead'],
  ['node-role.kubernetes.io/master', 'use "node-role.kubernetes.io/control-plane" instead'],
])

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'
const SELECTS_NOTHING = 'a null labelSelector results in matching no pod'

/** @param path of the spec: `spec.template.spec` */
export function nodeWarnings({ nodeSelector, affinity, topologySpreadConstraints }: PodSpec, path: string): string[] {
  const selected = Object.keys(nodeSelector ?? {}).flatMap((key) => {
    const said = DEPRECATED_NODE_LABELS.get(key)
    return said === undefined ? [] : [`${path}.nodeSelector[${key}]: ${said}`]
  })
  const nodes = affinity?.nodeAffinity
  const at = `${path}.affinity.nodeAffinity`
  const required = nodes?.[REQUIRED]?.nodeSelectorTerms.flatMap((term, index) =>
    nodeTermWarnings(term, `${at}.${REQUIRED}.nodeSelectorTerms[${index}]`),
  )
  const preferred = nodes?.[PREFERRED]?.flatMap(({ preference }, index) =>
    nodeTermWarnings(preference, `${at}.${PREFERRED}[${index}].preference`, { values: true }),
  )
  const spread = topologySpreadConstraints?.flatMap(({ topologyKey, labelSelector }, index) => {
    const constraint = `${path}.topologySpreadConstraints[${index}]`
    const said = DEPRECATED_NODE_LABELS.get(topologyKey)
    return [
      ...(said === undefined ? [] : [`${constraint}.topologyKey: ${topologyKey} is ${said}`]),
      ...(labelSelector ? [] : [`${constraint}.labelSelector: ${SELECTS_NOTHING}`]),
    ]
  })
  return [...selected, ...(required ?? []), ...(preferred ?? []), ...(spread ?? [])]
}

/** @param options.values says what is wrong with values, too: those of a term that is only preferred are not refused */
export function nodeTermWarnings(
  { matchExpressions }: NodeSelectorTerm,
  path: string,
  { values: checksValues = false } = {},
): string[] {
  return (matchExpressions ?? []).flatMap(({ key, values = [] }, index) => {
    const at = `${path}.matchExpressions[${index}]`
    const said = DEPRECATED_NODE_LABELS.get(key)
    const old = said === undefined ? [] : [`${at}.key: ${key} is ${said}`]
    if (!checksValues) return old
    const wrong = values.flatMap((value, position) =>
      labelValueErrors(value).map((why) => `${at}.values[${position}]: ${value} is invalid, ${why}`),
    )
    return [...old, ...wrong]
  })
}

/** @param path of the spec: `spec.template.spec` */
export function podAffinityWarnings({ affinity }: PodSpec, path: string): string[] {
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap((kind) => {
    const at = `${path}.affinity.${kind}`
    const unset = (term: PodAffinityTerm, where: string): string[] =>
      term.labelSelector ? [] : [`${where}.labelSelector: ${SELECTS_NOTHING}`]
    return [
      ...(affinity?.[kind]?.[REQUIRED] ?? []).flatMap((term, index) => unset(term, `${at}.${REQUIRED}[${index}]`)),
      ...(affinity?.[kind]?.[PREFERRED] ?? []).flatMap(({ podAffinityTerm }, index) =>
        unset(podAffinityTerm, `${at}.${PREFERRED}[${index}].podAffinityTerm`),
      ),
    ]
  })
}
