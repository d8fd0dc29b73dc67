/** The status of ValidatingAdmissionPolicies: which generation was looked at, and what is doubtful about its types. */
import type { KubeObject } from '@caisson/api'
import { createPersist } from '../../persist.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Store, Transaction } from '../../storage/store.ts'
import { POLICIES } from './admit-policies.ts'
import { checkTypes } from './check-types.ts'
import type { Policy } from './policy.ts'

export interface KeepPolicyStatusOptions {
  store: Store
  registry: Registry
  report(error: unknown): void
}

export function keepPolicyStatus({ store, registry, report }: KeepPolicyStatusOptions): Disposable {
  const persist = createPersist({ store, report })

  function look(object: KubeObject): void {
    const { name = '', generation } = object.metadata
    if (seenGeneration(object) !== generation) persist.do(name, () => store.write((each) => check(name, each)))
  }

  function check(name: string, transaction: Transaction): void {
    const policy = transaction.get(POLICIES, undefined, name) as Policy | undefined
    if (!policy || seenGeneration(policy) === policy.metadata.generation) return
    const expressionWarnings = checkTypes(policy, registry)
    const typeChecking = expressionWarnings.length > 0 ? { expressionWarnings } : {}
    const status = { ...policy.status, observedGeneration: policy.metadata.generation, typeChecking }
    transaction.put(POLICIES, { ...policy, metadata: { ...policy.metadata }, status })
  }

  for (const policy of store.list(POLICIES)) look(policy)
  const subscription = store.subscribe(POLICIES, store.revision, ({ type, object }) => {
    if (type !== 'DELETED') look(object)
  })
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      subscription?.[Symbol.dispose]()
    },
  }
}

function seenGeneration({ status }: KubeObject): number | undefined {
  return (status as { observedGeneration?: number } | undefined)?.observedGeneration
}
