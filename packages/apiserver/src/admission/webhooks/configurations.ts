/** The webhooks that are configured now, in the order in which they are asked. */
import type { KubeObject } from '@caisson/api'
import type { Store } from '../../storage/store.ts'
import type { MatchCondition } from '../match-conditions.ts'
import type { Matcher } from '../match-rules.ts'
import type { ClientConfig } from './webhook-client.ts'

export interface Webhook extends Matcher {
  name: string
  clientConfig: ClientConfig
  failurePolicy?: string
  sideEffects?: string
  timeoutSeconds?: number
  admissionReviewVersions?: readonly string[]
  matchConditions?: readonly MatchCondition[] | null
  /** Of mutating ones. */
  reinvocationPolicy?: string
}

const CONFIGURATIONS = {
  mutating: 'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  validating: 'validatingwebhookconfigurations.admissionregistration.k8s.io',
} as const

export type WebhookType = keyof typeof CONFIGURATIONS

export interface Configurations extends Disposable {
  readonly mutating: readonly Webhook[]
  readonly validating: readonly Webhook[]
}

/** Follows the store: a configuration counts from the commit that brought it. */
export function followConfigurations(store: Store): Configurations {
  const read = (type: WebhookType): Webhook[] => {
    // Listed by name, which is the order of Kubernetes.
    return [...store.list(CONFIGURATIONS[type])].flatMap(
      (configuration) => ((configuration as KubeObject & { webhooks?: Webhook[] | null }).webhooks ?? []) as Webhook[],
    )
  }
  const current = { mutating: read('mutating'), validating: read('validating') }
  const subscriptions = (['mutating', 'validating'] as const).map((type) =>
    store.subscribe(CONFIGURATIONS[type], store.revision, () => {
      current[type] = read(type)
    }),
  )
  return {
    get mutating() {
      return current.mutating
    },
    get validating() {
      return current.validating
    },
    [Symbol.dispose]() {
      for (const each of subscriptions) each?.[Symbol.dispose]()
    },
  }
}
