/** RBAC's policy rules: what one allows, and whether some rules cover others. */
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
function urlCovers(allowed: string, asked: string): boolean {
  return allowed === asked || (allowed.endsWith('*') && asked.startsWith(withoutStars(allowed)))
}

// By hand: a regular expression would try again at each of a million stars in the middle.
function withoutStars(url: string): string {
  let end = url.length
  while (url[end - 1] === '*') end--
  return url.slice(0, end)
}

/** A rule about one verb and one resource (with at most one name) or one URL. */
interface AtomicRule {
  verb: string
  group?: string
  resource?: string
  resourceName?: string
  url?: string
}

/** A role that expands to more than this cannot be compared in reasonable time; see `countAtoms`. */
export const MOST_ATOMS = 10_000

/** How many single permissions some rules stand for: the product of their lists, which a small request can make huge. */
export function countAtoms(rules: readonly PolicyRule[]): number {
  return rules.reduce((sum, rule) => {
    const resources =
      (rule.apiGroups?.length ?? 0) * (rule.resources?.length ?? 0) * Math.max(rule.resourceNames?.length ?? 0, 1)
    return sum + (rule.verbs?.length ?? 0) * (resources + (rule.nonResourceURLs?.length ?? 0))
  }, 0)
}

/** What of `asked` is not within `held`, as few rules; empty where all of it is. */
export function uncovered(held: readonly PolicyRule[], asked: readonly PolicyRule[]): PolicyRule[] {
  const missing = asked.flatMap(atoms).filter((atom) => !held.some((rule) => covers(rule, atom)))
  return compact(missing)
}

function atoms(rule: PolicyRule): AtomicRule[] {
  const made: AtomicRule[] = []
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs ?? []) {
        const names = rule.resourceNames ?? []
        if (names.length === 0) made.push({ verb, group, resource })
        for (const resourceName of names) made.push({ verb, group, resource, resourceName })
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    for (const verb of rule.verbs ?? []) made.push({ verb, url })
  }
  return made
}

function covers(rule: PolicyRule, atom: AtomicRule): boolean {
  if (!includesOrAll(rule.verbs, atom.verb)) return false
  if (atom.url !== undefined) return (rule.nonResourceURLs ?? []).some((url) => urlCovers(url, atom.url ?? ''))
  const names = rule.resourceNames ?? []
  if (names.length > 0 && (atom.resourceName === undefined || !names.includes(atom.resourceName))) return false
  return includesOrAll(rule.apiGroups, atom.group ?? '') && resourceCovers(rule.resources ?? [], atom.resource ?? '')
}

function resourceCovers(allowed: readonly string[], asked: string): boolean {
  if (allowed.includes('*') || allowed.includes(asked)) return true
  const slash = asked.indexOf('/')
  return slash !== -1 && allowed.includes(`*${asked.slice(slash)}`)
}

/** Joins the verbs of resource rules that differ in nothing else, as kube-apiserver does in its messages. */
function compact(rules: readonly AtomicRule[]): PolicyRule[] {
  const compacted: PolicyRule[] = []
  const verbsByTarget = new Map<string, string[]>()
  for (const { verb, group = '', resource = '', resourceName, url } of rules) {
    if (url !== undefined) {
      compacted.push({ verbs: [verb], nonResourceURLs: [url] })
      continue
    }
    const target = JSON.stringify([group, resource, resourceName])
    const known = verbsByTarget.get(target)
    if (known) {
      known.push(verb)
      continue
    }
    const verbs = [verb]
    verbsByTarget.set(target, verbs)
    const names = resourceName === undefined ? {} : { resourceNames: [resourceName] }
    compacted.push({ verbs, apiGroups: [group], resources: [resource], ...names })
  }
  return compacted
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
