/** `metav1.LabelSelector`, as far as asking whether it selects goes. */

export interface LabelSelector {
  matchLabels?: Readonly<Record<string, string>>
  matchExpressions?: ReadonlyArray<{ key: string; operator: string; values?: readonly string[] }>
}

/** Whether the selector selects an object with these labels: none selects nothing, an empty one everything. */
export function selects(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return matcherOf(selector)(labels)
}

type Matcher = (labels: Readonly<Record<string, string>> | undefined) => boolean

/** Of selectors that never change, as those of stored objects, which may have tens of thousands of values to be read. */
const known = new WeakMap<LabelSelector, Matcher>()

function matcherOf(selector: LabelSelector | undefined): Matcher {
  if (!selector || !Object.isFrozen(selector)) return labelMatcher(selector)
  const matcher = known.get(selector) ?? labelMatcher(selector)
  known.set(selector, matcher)
  return matcher
}

/** What all requirements of one key ask together of its label. */
interface Rule {
  mayBeMissing: boolean
  mayBeThere: boolean
  /** Undefined where any value will do. */
  values: ReadonlySet<string> | undefined
  /** Undefined where none is refused. */
  others: Set<string> | undefined
}

/** Fewer are looked for among the labels, whose number is not asked for. */
const FEW_RULES = 16

/**
 * `selects` for many objects: the selector is read once. There may be ten thousand requirements, and as many labels: what is
 * asked then takes as long as there are of those of which there are fewer.
 */
export function labelMatcher(selector: LabelSelector | undefined): Matcher {
  if (!selector) return () => false
  const rules = rulesOf(selector)
  const ruleByRule: Matcher = (labels) => {
    for (const [key, rule] of rules)
      if (!holds(rule, labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined)) return false
    return true
  }
  if (rules.size <= FEW_RULES) return ruleByRule
  const needed = [...rules.values()].filter(({ mayBeMissing }) => !mayBeMissing).length
  return (labels = {}) => {
    if (countOf(labels) > rules.size) return ruleByRule(labels)
    let found = 0
    for (const [key, value] of Object.entries(labels)) {
      const rule = rules.get(key)
      if (!rule) continue
      if (!holds(rule, value)) return false
      if (!rule.mayBeMissing) found++
    }
    return found === needed
  }
}

function rulesOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): Map<string, Rule> {
  const rules = new Map<string, Rule>()
  const ofLabels = Object.entries(matchLabels).map(([key, value]) => ({ key, operator: 'In', values: [value] }))
  for (const { key, operator, values = [] } of [...ofLabels, ...matchExpressions]) {
    const rule: Rule = rules.get(key) ?? { mayBeMissing: true, mayBeThere: true, values: undefined, others: undefined }
    rules.set(key, rule)
    if (operator === 'NotIn') {
      rule.others ??= new Set()
      for (const value of values) rule.others.add(value)
    } else if (operator === 'DoesNotExist') rule.mayBeThere = false
    else {
      rule.mayBeMissing = false
      if (operator === 'In') rule.values = rule.values?.intersection(new Set(values)) ?? new Set(values)
      // An operator that there is not holds for nothing.
      else if (operator !== 'Exists') rule.mayBeThere = false
    }
  }
  return rules
}

function holds({ mayBeMissing, mayBeThere, values, others }: Rule, own: string | undefined): boolean {
  if (own === undefined) return mayBeMissing
  return mayBeThere && values?.has(own) !== false && others?.has(own) !== true
}

/** Of labels that never change. */
const counts = new WeakMap<object, number>()

function countOf(labels: Readonly<Record<string, string>>): number {
  const count = counts.get(labels) ?? Object.keys(labels).length
  if (Object.isFrozen(labels)) counts.set(labels, count)
  return count
}

/** The selector in the text form of list requests and of `scale`, by key: `app=web,tier in (a,b)`. Empty for an empty one. */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const terms = Object.entries(matchLabels).map(([key, value]) => ({ key, text: `${key}=${value}` }))
  for (const { key, operator, values = [] } of matchExpressions) {
    const list = `(${[...values].sort().join(',')})`
    if (operator === 'In') terms.push({ key, text: `${key} in ${list}` })
    else if (operator === 'NotIn') terms.push({ key, text: `${key} notin ${list}` })
    else terms.push({ key, text: operator === 'Exists' ? key : `!${key}` })
  }
  return terms
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ text }) => text)
    .join(',')
}
