/** Services behind which a Sandbox sleeps because nothing happened in it: whoever connects to a NodePort of one wakes it. */
import { isSuspendedForIdleness, LABELS, labelMatcher, nameHash, type Sandbox } from '@caisson/api'
import { abortable, type Informer, keyOf, type SandboxWaker } from '@caisson/client'
import { SLICES_BY_SERVICE } from './cluster-names.ts'
import { isReady, type ServiceObject, type SliceObject } from './services/service-model.ts'

export interface ServiceWaker {
  /**
   * Has a Sandbox run again that the Service would lead to, and resolves when it leads there; at once where none sleeps.
   * Rejects where it cannot be woken.
   */
  awaken(service: ServiceObject): Promise<void>
}

export interface ServiceWakerOptions {
  /** Of all namespaces whose Services lead anywhere here. */
  sandboxes: Informer<Sandbox>
  waker: SandboxWaker
  /** With the index `SLICES_BY_SERVICE`. */
  slices: Informer<SliceObject>
  signal: AbortSignal
}

const BY_NAMESPACE = 'namespace'
/** From a Pod that is Ready to the slice that names it. */
const ENDPOINT_PATIENCE_MS = 10_000

export function createServiceWaker({ sandboxes, waker, slices, signal }: ServiceWakerOptions): ServiceWaker {
  sandboxes.addIndex(BY_NAMESPACE, ({ metadata }) => [metadata.namespace ?? ''])

  function sleepers({ metadata, spec }: ServiceObject): string[] {
    const matchLabels = spec?.selector ?? {}
    // One without a selector leads to what somebody writes by hand.
    if (Object.keys(matchLabels).length === 0) return []
    const isSelected = labelMatcher({ matchLabels })
    return sandboxes
      .byIndex(BY_NAMESPACE, metadata.namespace ?? '')
      .filter((sandbox) => isSuspendedForIdleness(sandbox) && isSelected(podLabels(sandbox)))
      .map((sandbox) => sandbox.metadata.name ?? '')
  }

  async function leadsSomewhere(key: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      if (slices.byIndex(SLICES_BY_SERVICE, key).some(({ endpoints }) => endpoints?.some(isReady))) resolve()
    }
    using _ = slices.handle({ added: look, updated: look })
    await abortable(promise, AbortSignal.any([signal, AbortSignal.timeout(ENDPOINT_PATIENCE_MS)]))
  }

  async function wakeOne(service: ServiceObject): Promise<void> {
    // The same one for all who come.
    const [name] = sleepers(service).toSorted()
    if (name === undefined) return
    await waker.wake({ namespace: service.metadata.namespace ?? '', name }, signal)
    await leadsSomewhere(keyOf(service))
  }

  /** By Service: one that wakes is no sleeper any more, and whoever comes meanwhile waits for it too. */
  const waking = new Map<string, Promise<void>>()

  return {
    awaken(service) {
      const key = keyOf(service)
      const known = waking.get(key)
      if (known) return known
      const begun = wakeOne(service).finally(() => waking.delete(key))
      waking.set(key, begun)
      return begun
    },
  }
}

/** Of the Pod that it will have, by which Services find it. */
function podLabels({ metadata, spec }: Sandbox): Record<string, string> {
  const claim = metadata.labels?.[LABELS.claimUid]
  return {
    ...spec.podTemplate.metadata?.labels,
    ...(claim !== undefined && { [LABELS.claimUid]: claim }),
    [LABELS.sandboxNameHash]: nameHash(metadata.name ?? ''),
  }
}
