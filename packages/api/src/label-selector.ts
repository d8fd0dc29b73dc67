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
  const matcher = known.get(selector) ?? remembering(labelMatcher(selector), selector)
  known.set(selector, matcher)
  return matcher
}

/** More of them are not looked at again for labels that have not changed. */
const FEW_REQUIREMENTS = 16

/** Labels stay the very same while their object changes otherwise. */
function remembering(matches: Matcher, { matchLabels = {}, matchExpressions = [] }: LabelSelector): Matcher {
  if (Object.keys(matchLabels).length + matchExpressions.length <= FEW_REQUIREMENTS) return matches
  const outcomes = new WeakMap<object, boolean>()
  return (labels) => {
    if (!labels || !Object.isFrozen(labels)) return matches(labels)
    const outcome = outcomes.get(labels) ?? matches(labels)
    outcomes.set(labels, outcome)
    return outcome
  }
}

/** `selects` for many objects: the selector is read once, and each of its requirements then asks for one label. */
export function labelMatcher(selector: LabelSelector | undefined): Matcher {
  if (!selector) return () => false
  const requirements = [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
      key,
      holds: (own?: string) => own === value,
    })),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values }) => ({
      key,
      holds: expression(operator, values),
    })),
  ]
  return (labels) =>
    requirements.every(({ key, holds }) =>
      holds(labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined),
    )
}

/** An operator that there is not holds for nothing. */
function expression(operator: string, values: readonly string[] = []): (own: string | undefined) => boolean {
  const listed = new Set(values)
  if (operator === 'In') return (own) => own !== undefined && listed.has(own)
  if (operator === 'NotIn') return (own) => own === undefined || !listed.has(own)
  if (operator === 'Exists') return (own) => own !== undefined
  return (own) => operator === 'DoesNotExist' && own === undefined
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
