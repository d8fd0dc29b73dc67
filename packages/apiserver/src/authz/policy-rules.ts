/** RBAC's policy rules: what one allows, and how it is shown. */
import type { KubeObject } from '@caisson/api'
import { goQuote } from '../registry/field-error.ts'
import { type Attributes, combinedResource } from './attributes.ts'

/** Not validated yet where it comes from a request: any list may be missing. */
export interface PolicyRule {
  verbs?: readonly string[]
  apiGroups?: readonly string[]
  resources?: readonly string[]
  resourceNames?: readonly string[]
  nonResourceURLs?: readonly string[]
}

/** The rules of a Role or ClusterRole. */
export function rulesOf(role: KubeObject): readonly PolicyRule[] {
  return (role.rules as PolicyRule[] | undefined | null) ?? []
}

export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!includesOrAll(rule.verbs, attributes.verb)) return false
  if ('path' in attributes) return (rule.nonResourceURLs ?? []).some((url) => urlCovers(url, attributes.path))
  return (
    includesOrAll(rule.apiGroups, attributes.group) &&
    resourceMatches(rule.resources, attributes) &&
    nameMatches(rule.resourceNames, attributes.name)
  )
}

function includesOrAll(allowed: readonly string[] | undefined, asked: string): boolean {
  return allowed?.some((one) => one === '*' || one === asked) ?? false
}

function resourceMatches(
  allowed: readonly string[] | undefined,
  asked: { resource: string; subresource?: string },
): boolean {
  if (!allowed) return false
  const combined = combinedResource(asked)
  const ofAny = asked.subresource ? `*/${asked.subresource}` : undefined
  return allowed.some((one) => one === '*' || one === combined || one === ofAny)
}

function nameMatches(allowed: readonly string[] | undefined, asked: string | undefined): boolean {
  return !allowed || allowed.length === 0 || allowed.includes(asked ?? '')
}

/** A trailing `*` stands for any rest; anywhere else it is a plain character. */
export function urlCovers(allowed: string, asked: string): boolean {
  return allowed === asked || (allowed.endsWith('*') && asked.startsWith(withoutStars(allowed)))
}

// By hand: a regular expression would try again at each of a million stars in the middle.
function withoutStars(url: string): string {
  let end = url.length
  while (url[end - 1] === '*') end--
  return url.slice(0, end)
}

/** A rule in the notation of kube-apiserver's escalation errors. */
export function describeRule(rule: PolicyRule): string {
  const parts: [string, readonly string[] | undefined][] = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ]
  const said = parts.flatMap(([name, values]) => (values?.length ? [`${name}:${goQuotedList(values)}`] : []))
  return `{${said.join(', ')}}`
}

/** A list as Go's `%q` writes a slice: `["a" "b"]`. */
export function goQuotedList(texts: readonly string[]): string {
  return `[${texts.map(goQuote).join(' ')}]`
}
