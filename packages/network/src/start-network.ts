/** The node's part of the cluster's network: NetworkPolicies in force for the Pods of this machine. */
import { type Informers, keyOf, type PodObject, resources } from '@caisson/client'
import type { NetworkControl } from '@caisson/runtime'
import type { NetworkGate, PodAddress } from './network-gate.ts'
import { policyPod } from './pod-addresses.ts'
import { readPolicy } from './policy/policy-model.ts'
import { createPolicyRules } from './policy/policy-rules.ts'

export interface StartNetworkOptions {
  informers: Informers
  /** Of the runtime whose sandboxes these are. */
  control: NetworkControl
  signal: AbortSignal
  onError(error: unknown, where: string): void
}

/** Disposing leaves the rules in force. */
export interface Network extends NetworkGate, AsyncDisposable {}

const PODS_BY_NAMESPACE = 'namespace'

/** Resolves when everything that rules are made from has been seen once. Nothing of the machine is touched before a Pod has an address. */
export async function startNetwork(options: StartNetworkOptions): Promise<Network> {
  const { informers, control, signal, onError } = options
  const stack = new DisposableStack()
  const rules = createPolicyRules()
  const addresses = new Map<string, PodAddress>()
  let adopted = false
  let scheduled = false

  const namespaces = informers.of(resources.namespaces)
  const pods = informers.of(resources.pods, {
    indexers: { [PODS_BY_NAMESPACE]: ({ metadata }) => [metadata.namespace ?? ''] },
  })
  const policies = informers.of(resources.networkPolicies)
  await informers.synced(signal)

  function setPod(pod: PodObject): void {
    const address = addresses.get(pod.metadata.uid ?? '')
    if (address) rules.setPod(policyPod(pod, namespaces.get(pod.metadata.namespace ?? ''), address))
  }

  /** Before the first sandbox has an address there is nothing to protect, and nothing of the machine's is changed. */
  async function flush(): Promise<void> {
    if (!adopted || addresses.size === 0) return
    const change = rules.take()
    if (change.size > 0) await control.change(change)
  }

  /** What changes in one turn goes to the kernel together. */
  function changed(): void {
    if (scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      flush().catch((error: unknown) => onError(error, 'the rules of the pod network'))
    })
  }

  stack.use(
    pods.handle({
      added: (pod) => (setPod(pod), changed()),
      updated: (old, pod) => {
        // Most changes of a Pod are its status.
        if (old.metadata.labels === pod.metadata.labels) return
        setPod(pod)
        changed()
      },
    }),
  )
  stack.use(
    namespaces.handle({
      updated: (_old, namespace) => {
        for (const pod of pods.byIndex(PODS_BY_NAMESPACE, keyOf(namespace))) setPod(pod)
        changed()
      },
      added: (namespace) => {
        for (const pod of pods.byIndex(PODS_BY_NAMESPACE, keyOf(namespace))) setPod(pod)
        changed()
      },
    }),
  )
  stack.use(
    policies.handle({
      added: (policy) => (rules.setPolicy(keyOf(policy), readPolicy(policy)), changed()),
      updated: (_old, policy) => (rules.setPolicy(keyOf(policy), readPolicy(policy)), changed()),
      deleted: (policy) => (rules.removePolicy(keyOf(policy)), changed()),
    }),
  )

  return {
    async adopt(found) {
      for (const address of found) addresses.set(address.uid, address)
      for (const pod of pods.list()) setPod(pod)
      adopted = true
      await flush()
    },
    async admit(pod, address) {
      addresses.set(address.uid, address)
      setPod(pod)
      await flush()
    },
    leave(uid) {
      if (!addresses.delete(uid)) return
      rules.removePod(uid)
      changed()
    },
    async [Symbol.asyncDispose]() {
      stack.dispose()
    },
  }
}
