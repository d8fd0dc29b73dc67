/**
 * The rules of all policies and Pods, kept up to date: each change gives the pieces that differ because of it, and looks at
 * no more than those whom it concerns: at a Pod with the policies that may select or name it, at a policy with the Pods
 * that it may.
 */
import { isDeepStrictEqual } from 'node:util'
import type { RuleChange, RulePiece } from '@caisson/runtime'
import { type IsolationClass, isolationPiece, podPiece, policyPiece, policyShare } from './compile-policy.ts'
import { createGroups } from './groups.ts'
import { concerns, EVERYWHERE, type Policy, type PolicyPod } from './policy-model.ts'

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
   * `policy KEY`, `class NAME`, `pod UID`, and `pod UID KEY` for what a Pod adds to a policy.
   */
  take(): RuleChange
}

const NONE: readonly Policy[] = []

export function createPolicyRules(): PolicyRules {
  const pods = new Map<string, PolicyPod>()
  const podsByIp = new Map<string, PolicyPod>()
  const podsIn = createGroups<PolicyPod>()
  const policies = new Map<string, Policy>()
  const policiesIn = createGroups<Policy>()
  /** By the namespaces that they may concern; `EVERYWHERE` is all. */
  const policiesAbout = createGroups<Policy>()
  const lists = new Map<string, readonly Policy[]>()
  /** Of each Pod, by the policies' keys, those that select or name it; whether they select it. */
  const sharesOf = new Map<string, Map<string, boolean>>()
  const classesOf = new Map<string, readonly IsolationClass[]>()
  const usesOf = new Map<string, number>()
  const pieces = new Map<string, RulePiece>()
  const stalePods = new Set<string>()
  /** By the policies' keys, the namespaces whose Pods they may concern, before or now. */
  const stalePolicies = new Map<string, Set<string>>()
  let changed = new Map<string, RulePiece | undefined>()

  function put(change: Map<string, RulePiece | undefined>, key: string, piece: RulePiece | undefined): void {
    const known = pieces.get(key)
    if (piece) pieces.set(key, piece)
    else if (!pieces.delete(key) && !change.has(key)) return
    if (JSON.stringify(known) !== JSON.stringify(piece) || change.has(key)) change.set(key, piece)
  }

  function use(classes: readonly IsolationClass[], by: 1 | -1, change: Map<string, RulePiece | undefined>): void {
    for (const each of classes) {
      const uses = (usesOf.get(each.name) ?? 0) + by
      if (uses > 0) usesOf.set(each.name, uses)
      else usesOf.delete(each.name)
      put(change, `class ${each.name}`, uses > 0 ? isolationPiece(each) : undefined)
    }
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
    const [pod, policy, own] = [pods.get(uid), policies.get(key), sharesOf.get(uid) ?? new Map<string, boolean>()]
    const before = own.get(key) ?? false
    const share = pod && policy && policyShare(policy, pod)
    if (share) own.set(key, share.selected)
    else own.delete(key)
    if (own.size > 0) sharesOf.set(uid, own)
    else sharesOf.delete(uid)
    put(change, `pod ${uid} ${key}`, share?.piece.elements?.length ? share.piece : undefined)
    return before || share?.selected === true
  }

  /** Gives the Pods whose place may be another one now: what is new, and whom policies select otherwise. */
  function compareStale(change: Map<string, RulePiece | undefined>): ReadonlySet<string> {
    const moved = new Set(stalePods)
    for (const uid of stalePods) {
      const pod = pods.get(uid)
      const near = pod ? [pod.namespace, EVERYWHERE].flatMap((place) => [...policiesAbout.of(place).keys()]) : []
      for (const key of new Set([...(sharesOf.get(uid)?.keys() ?? []), ...near])) compare(uid, key, change)
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
    const selecting = [...(sharesOf.get(uid) ?? [])].flatMap(([key, selected]) =>
      selected ? (policies.get(key) ?? []) : [],
    )
    const made = pod && podPiece(pod, selecting)
    use(made?.classes ?? [], 1, change)
    use(classesOf.get(uid) ?? [], -1, change)
    if (made) classesOf.set(uid, made.classes)
    else classesOf.delete(uid)
    put(change, `pod ${uid}`, made?.piece)
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
      for (const uid of compareStale(change)) place(uid, change)
      return change
    },
  }
  return rules
}
