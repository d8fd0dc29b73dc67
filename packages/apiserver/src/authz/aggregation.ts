/** ClusterRoles whose rules are those of others, chosen by label. */
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '@caisson/api'
import { createPersist } from '../persist.ts'
import type { Store } from '../storage/store.ts'
import { ROLE_RESOURCES } from './binding-index.ts'
import { type PolicyRule, rulesOf } from './policy-rules.ts'

interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

/**
 * The rules that an aggregated ClusterRole should have: those of the roles it selects, by name, each rule once. Selected
 * roles that are themselves aggregated are followed down to plain ones, so that roles which select each other settle too.
 */
export function aggregatedRules(role: KubeObject, clusterRoles: Iterable<KubeObject>): PolicyRule[] {
  const byName = [...clusterRoles].sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
  const rules = new Map<string, PolicyRule>()
  const followed = new Set([role.metadata.name])
  const follow = (aggregated: KubeObject): void => {
    for (const selector of selectorsOf(aggregated) ?? []) {
      for (const selected of byName) {
        if (followed.has(selected.metadata.name) || !matches(selector, selected.metadata.labels ?? {})) continue
        followed.add(selected.metadata.name)
        if (selectorsOf(selected)) follow(selected)
        else for (const rule of rulesOf(selected)) rules.set(JSON.stringify(rule, Object.keys(rule).sort()), rule)
      }
    }
  }
  follow(role)
  return [...rules.values()]
}

/**
 * Keeps the rules of aggregated ClusterRoles in the store what they should be, after each change of any ClusterRole.
 * Dispose of it to stop.
 */
export function startAggregation(
  store: Pick<Store, 'list' | 'get' | 'subscribe' | 'revision' | 'write' | 'failure'>,
  { onError }: { onError: (error: unknown) => void },
): Disposable {
  const persist = createPersist({ store, report: onError })
  let scheduled = false
  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      persist.do('aggregate', () => reaggregate(store))
    })
  }
  const subscription = store.subscribe(ROLE_RESOURCES.clusterRoles, store.revision, schedule)
  if (!subscription) throw new Error('cannot follow cluster roles from the newest revision: it has been compacted')
  schedule()
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      subscription[Symbol.dispose]()
    },
  }
}

/** Resolves when a pass found every aggregated role in order; each write brings about the next pass by its own event. */
async function reaggregate(store: Pick<Store, 'list' | 'write'>): Promise<void> {
  if (stale(store.list(ROLE_RESOURCES.clusterRoles)).length === 0) return
  await store.write((transaction) => {
    for (const { role, rules } of stale(transaction.list(ROLE_RESOURCES.clusterRoles))) {
      transaction.put(ROLE_RESOURCES.clusterRoles, structuredClone({ ...role, rules }))
    }
  })
}

function stale(listed: Iterable<KubeObject>): { role: KubeObject; rules: PolicyRule[] }[] {
  const roles = [...listed]
  return roles.flatMap((role) => {
    if (!selectorsOf(role) || role.metadata.deletionTimestamp) return []
    const rules = aggregatedRules(role, roles)
    return isDeepStrictEqual(rules, rulesOf(role)) ? [] : [{ role, rules }]
  })
}

function selectorsOf(role: KubeObject): LabelSelector[] | undefined {
  const rule = role.aggregationRule as { clusterRoleSelectors?: LabelSelector[] } | undefined | null
  return rule ? (rule.clusterRoleSelectors ?? []) : undefined
}

/** An empty selector matches everything, as everywhere in Kubernetes. */
function matches({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Record<string, string>): boolean {
  const labelOf = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    Object.entries(matchLabels).every(([key, value]) => labelOf(key) === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const label = labelOf(key)
      switch (operator) {
        case 'In':
          return label !== undefined && values.includes(label)
        case 'NotIn':
          return label === undefined || !values.includes(label)
        case 'Exists':
          return label !== undefined
        case 'DoesNotExist':
          return label === undefined
        default:
          return false
      }
    })
  )
}
