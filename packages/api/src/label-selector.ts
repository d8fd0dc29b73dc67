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
  if (!selector) return false
  const valueOf = (key: string): string | undefined =>
    labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (valueOf(key) !== value) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = valueOf(key)
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    if (operator === 'Exists') return value !== undefined
    return operator === 'DoesNotExist' && value === undefined
  })
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
