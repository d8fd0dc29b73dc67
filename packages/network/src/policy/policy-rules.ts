/** The rules of all policies and Pods, kept up to date: each change gives the pieces that differ because of it. */
import type { RuleChange, RulePiece } from '@caisson/runtime'
import { type IsolationClass, isolationClass, isolationPiece, podPiece, policyPiece } from './compile-policy.ts'
import type { Policy, PolicyPod } from './policy-model.ts'

export interface PolicyRules {
  policies(): readonly Policy[]
  pod(uid: string): PolicyPod | undefined
  podAt(ip: string): PolicyPod | undefined
  setPod(pod: PolicyPod): void
  removePod(uid: string): void
  /** By a key that stays the same while the policy changes. */
  setPolicy(key: string, policy: Policy): void
  removePolicy(key: string): void
  /** What has to change in the kernel because of all that was set and removed since the last time. */
  take(): RuleChange
}

const DIRECTIONS = ['ingress', 'egress'] as const

export function createPolicyRules(): PolicyRules {
  const pods = new Map<string, PolicyPod>()
  const podsByIp = new Map<string, PolicyPod>()
  const policies = new Map<string, Policy>()
  const classesOf = new Map<string, readonly IsolationClass[]>()
  const usesOf = new Map<string, number>()
  const pieces = new Map<string, RulePiece>()
  const stalePods = new Set<string>()
  let list: readonly Policy[] | undefined = []

  function use(classes: readonly IsolationClass[], by: 1 | -1, change: Map<string, RulePiece | undefined>): void {
    for (const each of classes) {
      const uses = (usesOf.get(each.name) ?? 0) + by
      if (uses > 0) usesOf.set(each.name, uses)
      else usesOf.delete(each.name)
      put(change, `class ${each.name}`, uses > 0 ? isolationPiece(each) : undefined)
    }
  }

  function put(change: Map<string, RulePiece | undefined>, key: string, piece: RulePiece | undefined): void {
    const known = pieces.get(key)
    if (piece) pieces.set(key, piece)
    else pieces.delete(key)
    if (JSON.stringify(known) !== JSON.stringify(piece) || change.has(key)) change.set(key, piece)
  }

  let changed = new Map<string, RulePiece | undefined>()
  function policiesChanged(): void {
    list = undefined
    // Whom it selects or names as a peer may be anybody.
    for (const uid of pods.keys()) stalePods.add(uid)
  }

  const rules: PolicyRules = {
    policies: () => (list ??= [...policies.values()]),
    pod: (uid) => pods.get(uid),
    podAt: (ip) => podsByIp.get(ip),
    setPod(pod) {
      rules.removePod(pod.uid)
      pods.set(pod.uid, pod)
      podsByIp.set(pod.ip, pod)
    },
    removePod(uid) {
      const known = pods.get(uid)
      if (known && podsByIp.get(known.ip) === known) podsByIp.delete(known.ip)
      pods.delete(uid)
      stalePods.add(uid)
    },
    setPolicy(key, policy) {
      policies.set(key, policy)
      put(changed, `policy ${key}`, policyPiece(policy))
      policiesChanged()
    },
    removePolicy(key) {
      if (!policies.delete(key)) return
      put(changed, `policy ${key}`, undefined)
      policiesChanged()
    },
    take() {
      const change = changed
      changed = new Map()
      const all = rules.policies()
      for (const uid of stalePods) {
        const pod = pods.get(uid)
        const classes = pod ? DIRECTIONS.flatMap((direction) => isolationClass(pod, all, direction) ?? []) : []
        use(classes, 1, change)
        use(classesOf.get(uid) ?? [], -1, change)
        if (pod) classesOf.set(uid, classes)
        else classesOf.delete(uid)
        put(change, `pod ${uid}`, pod && podPiece(pod, all))
      }
      stalePods.clear()
      return change
    },
  }
  return rules
}
