/**
 * The status of ResourceQuotas: what is measured again when a quota or its scope is new or changed, and when something
 * that counted is gone. (What comes is charged by admission, with the request that brings it.) It is done by the API
 * server itself, over what it has in memory, right after the commit that made it necessary.
 */
import { type KubeObject, LONGEST_TIMER } from '@caisson/api'
import { createPersist } from '../persist.ts'
import type { ResourceQuota } from '../registry/builtin/resource-quota.ts'
import type { Quantity } from '../registry/quantity.ts'
import { type Registry, storageKey } from '../registry/registry.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { ResourceKey, Store, StoreEvent, Transaction } from '../storage/store.ts'
import { addAmounts, count, masked, toResourceList } from './resource-amounts.ts'
import { inScope, isCounted, namesOf, usageOf } from './usage.ts'

const QUOTAS: ResourceKey = 'resourcequotas'

export interface KeepQuotasOptions {
  store: Store
  registry: Registry
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

export function keepQuotas({ store, registry, now, report }: KeepQuotasOptions): Disposable {
  const dirty = new Set<string>()
  const persist = createPersist({ store, report })
  const timers = new Set<NodeJS.Timeout>()
  const followed = new Map<ResourceKey, Disposable>()
  let running = false
  let generation = -1
  let stopped = false

  function mark(namespace: string | undefined): void {
    if (!namespace || stopped) return
    dirty.add(namespace)
    if (!running) persist.do('measure', run)
  }

  async function run(): Promise<void> {
    running = true
    let namespaces: string[] = []
    try {
      while (dirty.size > 0) {
        namespaces = [...dirty]
        dirty.clear()
        await Promise.all(namespaces.flatMap(measureAll))
      }
    } catch (error) {
      for (const namespace of namespaces) dirty.add(namespace)
      throw error
    } finally {
      running = false
    }
  }

  /** Each by itself: a namespace may have many, and those of others are not to wait for all of them. */
  function measureAll(namespace: string): Promise<void>[] {
    return Array.from(store.list(QUOTAS, namespace), ({ metadata: { name = '' } }) =>
      store.write((transaction) => measure(namespace, name, transaction), `quotas of ${namespace}`),
    )
  }

  function measure(namespace: string, name: string, transaction: Transaction): void {
    const quota = transaction.get(QUOTAS, namespace, name) as ResourceQuota | undefined
    if (!quota) return
    const hard = quota.spec?.hard ?? {}
    const used = toResourceList(usedBy(quota, namespace, transaction))
    if (deepEqual(quota.status, { hard, used })) return
    transaction.put(QUOTAS, { ...quota, metadata: { ...quota.metadata }, status: { hard, used } } as KubeObject)
  }

  function usedBy(quota: ResourceQuota, namespace: string, transaction: Transaction): Map<string, Quantity> {
    const names = new Set(Object.keys(quota.spec?.hard ?? {}))
    const used = new Map(Array.from(names, (name) => [name, count(0)]))
    for (const key of new Set(registry.all().map(storageKey))) {
      const own = isCounted(key) ? namesOf(key, names) : []
      if (own.length === 0) continue
      for (const object of transaction.list(key, namespace))
        if (inScope(key, object, quota)) addAmounts(used, masked(usageOf(key, object, now()), own))
    }
    return used
  }

  function onEvent(key: ResourceKey, { type, object, previous }: StoreEvent): void {
    const { namespace } = object.metadata
    if (!namespace) return
    if (key === QUOTAS) {
      const before = previous as ResourceQuota | undefined
      const isNew = type !== 'DELETED' && (!before || !deepEqual(before.spec, object.spec))
      if (isNew || (type !== 'DELETED' && !isMeasured(object as ResourceQuota))) mark(namespace)
    }
    if (!hasQuotas(namespace)) return
    if (type === 'DELETED') return mark(namespace)
    if (!previous || key === QUOTAS) return
    if (key === 'pods') return onPod(object, previous)
    if (key === 'services' || key === 'persistentvolumeclaims') {
      if (!deepEqual(previous.spec, object.spec) || !deepEqual(previous.status, object.status)) mark(namespace)
    }
  }

  function onPod(pod: KubeObject, previous: KubeObject): void {
    const { namespace, deletionTimestamp, deletionGracePeriodSeconds: grace } = pod.metadata
    const phase = (of: KubeObject): unknown => (of['status'] as { phase?: string } | undefined)?.phase
    if (phase(pod) !== phase(previous) || !deepEqual(pod.spec, previous.spec)) mark(namespace)
    if (deletionTimestamp === undefined || deletionTimestamp === previous.metadata.deletionTimestamp) return
    // One that its node does not end in time counts no longer.
    const late = Date.parse(deletionTimestamp) + (grace ?? 0) * 1000 + 1 - now()
    const timer = setTimeout(
      () => {
        timers.delete(timer)
        mark(namespace)
      },
      Math.min(late, LONGEST_TIMER),
    ).unref()
    timers.add(timer)
  }

  /** Whether the status is of the spec, and not what somebody else has written into it. */
  function isMeasured({ spec, status }: ResourceQuota): boolean {
    const hard = spec?.hard ?? {}
    return deepEqual(status?.hard ?? {}, hard) && Object.keys(status?.used ?? {}).length === Object.keys(hard).length
  }

  function hasQuotas(namespace: string): boolean {
    return store.list(QUOTAS, namespace)[Symbol.iterator]().next().done !== true
  }

  /** Kinds come with their definitions: looked at again when the registry has changed. */
  function follow(): void {
    if (registry.generation === generation) return
    generation = registry.generation
    for (const key of new Set(
      registry
        .all()
        .filter(({ namespaced }) => namespaced)
        .map(storageKey),
    )) {
      if (followed.has(key) || !isCounted(key)) continue
      const subscription = store.subscribe(key, store.revision, (event) => onEvent(key, event))
      if (subscription) followed.set(key, subscription)
    }
  }

  follow()
  const commits = store.onCommit(follow)
  for (const quota of store.list(QUOTAS)) mark(quota.metadata.namespace)
  return {
    [Symbol.dispose]() {
      stopped = true
      persist[Symbol.dispose]()
      commits[Symbol.dispose]()
      for (const each of followed.values()) each[Symbol.dispose]()
      for (const timer of timers) clearTimeout(timer)
    },
  }
}
