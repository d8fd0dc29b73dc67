/**
 * The rules of all policies and Pods, kept up to date: each change gives the pieces that differ because of it, and looks at
 * no more than those whom it concerns: at a Pod with the policies that may select or name it, at a policy with the Pods
 * that it may.
 */
import { isDeepStrictEqual } from 'node:util'
import type { RuleChange, RulePiece } from '@caisson/runtime'
import { namespacePiece, podPiece, policyPiece, policyShare, type Standing } from './compile-policy.ts'
import { createGroups } from './groups.ts'
import { concerns, EVERYWHERE, opens, type Policy, type PolicyPod } from './policy-model.ts'

export interface PolicyRules {
  /** Of a namespace: those that may select its Pods. The same list until one of them changes. */
  policies(namespace: string): readonly Policy[]
  podAt(ip: string): PolicyPod | undefined
  setPod(pod: PolicyPod): void
  removePod(uid: string): void
  /** By a key that stays the same while the policy changes. */
  setPolicy(key: string, policy: Policy): void
  removePolicy(key: string): void
  /**
   * What has to change in the kernel because of all that was set and removed since the last time. Keys are
   * `policy KEY`, `namespace NAME`, `pod UID`, and `pod UID KEY` for what a Pod adds to a policy.
   */
  take(): RuleChange
}

const NONE: readonly Policy[] = []

/** What policies are to a Pod. */
interface PodShares {
  /** Those that select it, as they were when it was compared with them; undefined for those that name it alone. */
  by: Map<string, Policy | undefined>
  standing: Standing
}

function createPodShares(): PodShares {
  return {
    by: new Map(),
    standing: { ingress: { isolating: 0, opening: 0 }, egress: { isolating: 0, opening: 0 } },
  }
}

const NO_SHARES = createPodShares()

export function createPolicyRules(): PolicyRules {
  const pods = new Map<string, PolicyPod>()
  const podsByIp = new Map<string, PolicyPod>()
  const podsIn = createGroups<PolicyPod>()
  const policies = new Map<string, Policy>()
  const policiesIn = createGroups<Policy>()
  /** By the namespaces that they may concern; `EVERYWHERE` is all. */
  const policiesAbout = createGroups<Policy>()
  const lists = new Map<string, readonly Policy[]>()
  const sharesOf = new Map<string, PodShares>()
  const pieces = new Map<string, RulePiece>()
  const stalePods = new Set<string>()
  /** By the policies' keys, the namespaces whose Pods they may concern, before or now. */
  const stalePolicies = new Map<string, Set<string>>()
  /** Whose policies are others now. */
  const staleNamespaces = new Set<string>()
  let changed = new Map<string, RulePiece | undefined>()

  function put(change: Map<string, RulePiece | undefined>, key: string, piece: RulePiece | undefined): void {
    const known = pieces.get(key)
    if (piece) pieces.set(key, piece)
    else if (!pieces.delete(key) && !change.has(key)) return
    if (JSON.stringify(known) !== JSON.stringify(piece) || change.has(key)) change.set(key, piece)
  }

  function exchange(key: string, policy: Policy | undefined): void {
    const stale = stalePolicies.get(key) ?? new Set()
    stalePolicies.set(key, stale)
    const known = policies.get(key)
    for (const place of known ? concerns(known) : []) {
      policiesAbout.remove(place, key)
      stale.add(place)
    }
    if (known) forget(known.namespace, key)
    for (const each of [known, policy]) if (each) staleNamespaces.add(each.namespace)
    if (policy) {
      policies.set(key, policy)
      lists.delete(policy.namespace)
      policiesIn.set(policy.namespace, key, policy)
      for (const place of concerns(policy)) {
        policiesAbout.set(place, key, policy)
        stale.add(place)
      }
    }
    put(changed, `policy ${key}`, policy && policyPiece(policy))
  }

  function forget(namespace: string, key: string): void {
    policies.delete(key)
    policiesIn.remove(namespace, key)
    lists.delete(namespace)
  }

  /** Compares one Pod with one policy. Gives whether the policy selects it, or did. */
  function compare(uid: string, key: string, change: Map<string, RulePiece | undefined>): boolean {
    const [pod, policy, own] = [pods.get(uid), policies.get(key), sharesOf.get(uid) ?? createPodShares()]
    const before = own.by.get(key)
    const share = pod && policy && policyShare(policy, pod)
    const now = share?.selected ? policy : undefined
    if (before) count(own.standing, before, -1)
    if (now) count(own.standing, now, 1)
    if (share) own.by.set(key, now)
    else own.by.delete(key)
    if (own.by.size > 0) sharesOf.set(uid, own)
    else sharesOf.delete(uid)
    put(change, `pod ${uid} ${key}`, share?.piece.elements?.length ? share.piece : undefined)
    return before !== undefined || now !== undefined
  }

  /** Gives the Pods whose place may be another one now: what is new, and whom policies select otherwise. */
  function compareStale(change: Map<string, RulePiece | undefined>): ReadonlySet<string> {
    const moved = new Set(stalePods)
    for (const uid of stalePods) {
      const pod = pods.get(uid)
      const near = pod ? [pod.namespace, EVERYWHERE].flatMap((place) => [...policiesAbout.of(place).keys()]) : []
      for (const key of new Set([...(sharesOf.get(uid)?.by.keys() ?? []), ...near])) compare(uid, key, change)
    }
    for (const [key, places] of stalePolicies) {
      const near = places.has(EVERYWHERE) ? [pods] : [...places].map((place) => podsIn.of(place))
      for (const uid of near.flatMap((each) => [...each.keys()])) {
        if (!stalePods.has(uid) && compare(uid, key, change)) moved.add(uid)
      }
    }
    stalePods.clear()
    stalePolicies.clear()
    return moved
  }

  function place(uid: string, change: Map<string, RulePiece | undefined>): void {
    const pod = pods.get(uid)
    put(change, `pod ${uid}`, pod && podPiece(pod, (sharesOf.get(uid) ?? NO_SHARES).standing))
  }

  const rules: PolicyRules = {
    policies(namespace) {
      const own = policiesIn.of(namespace)
      if (own.size === 0) return NONE
      const list = lists.get(namespace) ?? [...own.values()]
      lists.set(namespace, list)
      return list
    },
    podAt: (ip) => podsByIp.get(ip),
    setPod(pod) {
      // Most changes of a Pod are of its status, and most of a namespace concern nobody in it.
      if (isDeepStrictEqual(pods.get(pod.uid), pod)) return
      rules.removePod(pod.uid)
      pods.set(pod.uid, pod)
      podsByIp.set(pod.ip, pod)
      podsIn.set(pod.namespace, pod.uid, pod)
    },
    removePod(uid) {
      const known = pods.get(uid)
      if (known && podsByIp.get(known.ip) === known) podsByIp.delete(known.ip)
      if (known) podsIn.remove(known.namespace, uid)
      pods.delete(uid)
      stalePods.add(uid)
    },
    setPolicy: exchange,
    removePolicy(key) {
      if (policies.has(key)) exchange(key, undefined)
    },
    take() {
      const change = changed
      changed = new Map()
      for (const each of staleNamespaces) put(change, `namespace ${each}`, namespacePiece(each, rules.policies(each)))
      staleNamespaces.clear()
      for (const uid of compareStale(change)) place(uid, change)
      return change
    },
  }
  return rules
}

function count(standing: Standing, policy: Policy, by: 1 | -1): void {
  for (const direction of ['ingress', 'egress'] as const) {
    if (policy[direction] !== undefined) standing[direction].isolating += by
    if (opens(policy, direction)) standing[direction].opening += by
  }
}
