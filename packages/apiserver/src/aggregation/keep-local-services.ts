/** Keeps APIServices for what this server serves itself: they say so to whoever lists them, and nothing is decided by them. */
import { randomUUID } from 'node:crypto'
import { kubernetesTime, mergeConditions } from '@caisson/api'
import { createPersist } from '../persist.ts'
import { type ApiServiceObject, LOCAL_CONDITION } from '../registry/builtin/api-service.ts'
import type { Registry } from '../registry/registry.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { ResourceKey, Store, Transaction } from '../storage/store.ts'
import { AUTOMANAGED, type LocalService, localServices } from './local-services.ts'

export const API_SERVICES: ResourceKey = 'apiservices.apiregistration.k8s.io'

export interface KeepLocalServicesOptions {
  store: Store
  registry: Registry
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

/** Follows the registry; one write for each change of what is served. What somebody changes about them is put right. */
export function keepLocalServices({ store, registry, now, report }: KeepLocalServicesOptions): Disposable {
  let generation = -1
  let running = false
  let again = false
  const persist = createPersist({ store, report })

  function follow(): void {
    if (generation === registry.generation) return
    generation = registry.generation
    keep()
  }

  function keep(): void {
    again = true
    if (!running) persist.do('services', run)
  }

  async function run(): Promise<void> {
    running = true
    try {
      while (again) {
        again = false
        const wanted = localServices(registry)
        if (!isKept(wanted)) await store.write((transaction) => put(wanted, transaction))
      }
    } catch (error) {
      again = true
      throw error
    } finally {
      running = false
    }
  }

  function isKept(wanted: ReadonlyMap<string, LocalService>): boolean {
    for (const service of wanted.values()) {
      const current = store.get(API_SERVICES, undefined, service.name) as ApiServiceObject | undefined
      if (!current || changed(current, service)) return false
    }
    return left(wanted, store).length === 0
  }

  function put(wanted: ReadonlyMap<string, LocalService>, transaction: Transaction): void {
    for (const service of wanted.values()) {
      const current = transaction.get(API_SERVICES, undefined, service.name) as ApiServiceObject | undefined
      const next = current ? changed(current, service) : made(service)
      if (next) transaction.put(API_SERVICES, next)
    }
    for (const object of left(wanted, transaction)) transaction.delete(API_SERVICES, object)
  }

  function made({ name, automanaged, spec }: LocalService): ApiServiceObject {
    const time = kubernetesTime(now())
    const metadata = { name, uid: randomUUID(), creationTimestamp: time, labels: { [AUTOMANAGED]: automanaged } }
    const status = { conditions: [{ ...LOCAL_CONDITION, lastTransitionTime: time }] }
    return { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata, spec, status }
  }

  /** Undefined where it is as it should be. One that names another server keeps its spec: it is somebody's manifest. */
  function changed(current: ApiServiceObject, { automanaged, spec }: LocalService): ApiServiceObject | undefined {
    const isTheirs = current.spec.service !== undefined
    const conditions = mergeConditions(current.status?.conditions as never, [LOCAL_CONDITION], { now: now() })
    const labels = isTheirs
      ? current.metadata.labels
      : { ...current.metadata.labels, [AUTOMANAGED]: current.metadata.labels?.[AUTOMANAGED] ?? automanaged }
    const next = {
      ...current,
      metadata: { ...current.metadata, ...(labels && { labels }) },
      spec: isTheirs ? current.spec : spec,
      status: { ...current.status, conditions },
    } as ApiServiceObject
    return deepEqual(next, current) ? undefined : next
  }

  const subscription = store.subscribe(API_SERVICES, store.revision, keep)
  const commits = store.onCommit(follow)
  follow()
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      subscription?.[Symbol.dispose]()
      commits[Symbol.dispose]()
    },
  }
}

/** Those of groups that are served no longer. */
function left(wanted: ReadonlyMap<string, LocalService>, from: Pick<Store, 'list'>): ApiServiceObject[] {
  return [...from.list(API_SERVICES)].filter(({ metadata }) => {
    return metadata.labels?.[AUTOMANAGED] === 'true' && !wanted.has(metadata.name ?? '')
  }) as ApiServiceObject[]
}
