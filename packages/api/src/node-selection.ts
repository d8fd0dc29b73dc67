/** Which nodes a Pod may be on, by what it says of their labels. */
import type { NodeSelectorRequirement, NodeSelectorTerm, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import type { ObjectMeta } from './object.ts'

type NodeWishes = Pick<PodSpec, 'nodeSelector' | 'affinity'>
type NodeMetadata = Pick<ObjectMeta, 'name' | 'labels'>

/** `nodeSelector`, and the affinity that is required. */
export function matchesNodeSelector({ nodeSelector, affinity }: NodeWishes, node: NodeMetadata): boolean {
  const { labels = {} } = node
  const wanted = Object.entries(nodeSelector ?? {})
  if (!wanted.every(([key, value]) => labels[key] === value)) return false
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return !required || required.nodeSelectorTerms.some((term) => matchesTerm(term, node))
}

function matchesTerm(term: NodeSelectorTerm, { name = '', labels = {} }: NodeMetadata): boolean {
  const expressions = term.matchExpressions ?? []
  const fields = term.matchFields ?? []
  // A term without any requirement matches nothing.
  if (expressions.length + fields.length === 0) return false
  const byField: Record<string, string> = { 'metadata.name': name }
  return (
    expressions.every((requirement) => matchesRequirement(requirement, labels)) &&
    fields.every((requirement) => matchesRequirement(requirement, byField))
  )
}

function matchesRequirement(
  { key, operator, values = [] }: NodeSelectorRequirement,
  labels: Record<string, string>,
): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      return false
  }
}
