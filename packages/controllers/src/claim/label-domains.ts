/** Under which domains claims may put labels on their Pods: what the administrator writes into a ConfigMap, as for agent-sandbox. */
import { type Client, createInformer, isNotFound, resources } from '@caisson/client'
import { DEFAULT_LABEL_DOMAINS } from '../blueprint/additional-metadata.ts'

/** agent-sandbox's, in the namespace of its controller. */
const NAMESPACE = 'agent-sandbox-system'
const NAME = 'agent-sandbox-config'
const KEY = 'allowed-label-domains'

export interface LabelDomains extends AsyncDisposable {
  /** Of now. */
  readonly allowed: readonly string[]
}

interface FollowOptions {
  client: Client
  signal: AbortSignal
  changed(): void
  onError(error: unknown): void
}

/**
 * Begins with what is there, so that no claim is refused for what has not been read yet, and follows it. Where the
 * ConfigMap cannot be read, agent-sandbox's own domain counts.
 */
export async function followLabelDomains({ client, signal, changed, onError }: FollowOptions): Promise<LabelDomains> {
  let allowed = DEFAULT_LABEL_DOMAINS
  try {
    allowed = labelDomains((await client.get(resources.configMaps, NAME, { namespace: NAMESPACE, signal })).data)
  } catch (error) {
    signal.throwIfAborted()
    if (!isNotFound(error)) onError(error)
  }
  const informer = createInformer(client, resources.configMaps, {
    namespace: NAMESPACE,
    fieldSelector: `metadata.name=${NAME}`,
  })
  const take = (data: Readonly<Record<string, string>> | undefined): void => {
    const next = labelDomains(data)
    if (next.join() === allowed.join()) return
    allowed = next
    changed()
  }
  informer.handle({
    added: ({ data }) => take(data),
    updated: (_old, { data }) => take(data),
    deleted: () => take(undefined),
  })
  return {
    get allowed() {
      return allowed
    },
    [Symbol.asyncDispose]: () => informer[Symbol.asyncDispose](),
  }
}

/** Separated by commas, spaces or lines. They stand in place of agent-sandbox's own, not beside it. */
function labelDomains(data: Readonly<Record<string, string>> = {}): readonly string[] {
  const named = (data[KEY] ?? '').split(/[\s,]+/).filter(Boolean)
  return named.length > 0 ? named : DEFAULT_LABEL_DOMAINS
}
