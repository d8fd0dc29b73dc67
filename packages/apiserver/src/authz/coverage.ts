/** Whether some policy rules allow all that others do, one permission after the other, as kube-apiserver finds it out. */
import { type PolicyRule, urlCovers } from './policy-rules.ts'

/** A role that stands for more permissions than this cannot be compared in reasonable time; see `countAtoms`. */
export const MOST_ATOMS = 10_000

/** A rule for so few permissions is found by each of them; others are looked at one after the other, as often as this. */
const FEW_ATOMS = 16
const MOST_COMPARED = 3_000_000

/** How many single permissions some rules stand for: the product of their lists, which a small request can make huge. */
export function countAtoms(rules: readonly PolicyRule[]): number {
  return rules.reduce((sum, rule) => {
    const resources =
      (rule.apiGroups?.length ?? 0) * (rule.resources?.length ?? 0) * Math.max(rule.resourceNames?.length ?? 0, 1)
    return sum + (rule.verbs?.length ?? 0) * (resources + (rule.nonResourceURLs?.length ?? 0))
  }, 0)
}

/** A rule about one verb and one resource (with at most one name) or one URL. */
interface AtomicRule {
  verb: string
  group?: string
  resource?: string
  resourceName?: string
  url?: string
}

/**
 * What of `asked` is not within `held`, as few rules; empty where all of it is, undefined where that takes too long to find
 * out. Of `asked` there may be `MOST_ATOMS`.
 */
export function uncovered(held: readonly PolicyRule[], asked: readonly PolicyRule[]): PolicyRule[] | undefined {
  const texts = createTexts()
  const few = new Set<string>()
  const many: NumberedRule[] = []
  for (const rule of held) {
    const isFew = countAtoms([rule]) <= FEW_ATOMS && !rule.nonResourceURLs?.some((url) => url.endsWith('*'))
    if (!isFew) many.push(numbered(rule, texts))
    else for (const atom of atoms(rule)) few.add(keyOf(atom, texts))
  }
  const missing: AtomicRule[] = []
  let compared = 0
  for (const atom of asked.flatMap(atoms)) {
    const spellings = spellingsOf(atom, texts)
    if (keysOf(spellings).some((key) => few.has(key))) continue
    const at = many.findIndex((rule) => covers(rule, atom, spellings))
    compared += at === -1 ? many.length : at
    if (compared > MOST_COMPARED) return undefined
    if (at === -1) missing.push(atom)
  }
  return compact(missing, texts)
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

/** A number for each text, and for its absence: one of a megabyte may be part of ten thousand permissions. */
interface Texts {
  numberOf(text: string | undefined): number
  /** Of any resource's subresource of that name, where it is one. */
  ofAny(resource: string | undefined): number | undefined
}

function createTexts(): Texts {
  const numbers = new Map<string | undefined, number>()
  const wild = new Map<string, number | undefined>()
  const numberOf: Texts['numberOf'] = (text) => {
    const known = numbers.get(text)
    if (known !== undefined) return known
    numbers.set(text, numbers.size)
    return numbers.size - 1
  }
  return {
    numberOf,
    ofAny(resource) {
      if (resource === undefined) return undefined
      if (!wild.has(resource)) {
        const slash = resource.indexOf('/')
        wild.set(resource, slash === -1 ? undefined : numberOf(`*${resource.slice(slash)}`))
      }
      return wild.get(resource)
    },
  }
}

function keyOf({ verb, group, resource, resourceName, url }: AtomicRule, { numberOf }: Texts): string {
  return [verb, group, resource, resourceName, url].map(numberOf).join()
}

/** By which values of each field a rule allows a permission. */
interface Spellings {
  verbs: number[]
  groups: number[]
  resources: number[]
  names: number[]
  url: number
}

function spellingsOf({ verb, group, resource, resourceName, url }: AtomicRule, texts: Texts): Spellings {
  const { numberOf } = texts
  const all = numberOf('*')
  const ofAny = texts.ofAny(resource)
  return {
    verbs: [numberOf(verb), all],
    groups: [numberOf(group), all],
    resources: [numberOf(resource), all, ...(ofAny === undefined ? [] : [ofAny])],
    names: resourceName === undefined ? [numberOf(undefined)] : [numberOf(undefined), numberOf(resourceName)],
    url: numberOf(url),
  }
}

function keysOf({ verbs, groups, resources, names, url }: Spellings): string[] {
  return verbs.flatMap((verb) =>
    groups.flatMap((group) =>
      resources.flatMap((resource) => names.map((name) => [verb, group, resource, name, url].join())),
    ),
  )
}

interface NumberedRule {
  verbs: ReadonlySet<number>
  groups: ReadonlySet<number>
  resources: ReadonlySet<number>
  names: ReadonlySet<number>
  urls: readonly string[]
}

function numbered({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule, texts: Texts) {
  const numbersOf = (list: readonly string[] | undefined): Set<number> => new Set(list?.map(texts.numberOf))
  return {
    verbs: numbersOf(verbs),
    groups: numbersOf(apiGroups),
    resources: numbersOf(resources),
    names: numbersOf(resourceNames),
    urls: nonResourceURLs ?? [],
  }
}

function covers(rule: NumberedRule, { url, resourceName }: AtomicRule, asked: Spellings): boolean {
  if (!asked.verbs.some((verb) => rule.verbs.has(verb))) return false
  if (url !== undefined) return rule.urls.some((allowed) => urlCovers(allowed, url))
  if (rule.names.size > 0 && (resourceName === undefined || !asked.names.some((name) => rule.names.has(name))))
    return false
  return (
    asked.groups.some((group) => rule.groups.has(group)) &&
    asked.resources.some((resource) => rule.resources.has(resource))
  )
}

/** Joins the verbs of resource rules that differ in nothing else, as kube-apiserver does in its messages. */
function compact(rules: readonly AtomicRule[], texts: Texts): PolicyRule[] {
  const compacted: PolicyRule[] = []
  const verbsByTarget = new Map<string, string[]>()
  for (const rule of rules) {
    const { verb, group = '', resource = '', resourceName, url } = rule
    if (url !== undefined) {
      compacted.push({ verbs: [verb], nonResourceURLs: [url] })
      continue
    }
    const target = keyOf({ ...rule, verb: '' }, texts)
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
