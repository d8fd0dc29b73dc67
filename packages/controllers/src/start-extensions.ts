/** Starts the controllers of templates, pools and claims once their kinds are served: a cluster may have Sandboxes without them. */

import type { Sandbox } from '@caisson/api'
import { CONTROLLER_NAMESPACE } from '@caisson/api'
import type { AnyObject, Client, Informer, Informers } from '@caisson/client'
import type { ComingClaims } from './claim/after-claims.ts'
import { createAssignments } from './claim/assignments.ts'
import { type ClaimController, startClaimController } from './claim/claim-controller.ts'
import { followLabelDomains } from './claim/label-domains.ts'
import type { Engine, EngineMetrics } from './engine/engine.ts'
import type { PlannedEvent } from './engine/plan.ts'
import { type PoolCaches, poolCaches, startPoolController } from './pool/pool-controller.ts'
import type { Pod } from './sandbox/objects.ts'
import { createPolicyFailures } from './template/policy-failures.ts'
import { startTemplateController, templateCaches } from './template/template-controller.ts'
import type { Tracer } from './tracing/tracer.ts'

export interface ExtensionsOptions {
  /** Of ConfigMap `agent-sandbox-config`; `agent-sandbox-system` unless said. */
  configNamespace?: string
  /** `--sandbox-claim-concurrent-workers`; 50 unless said. */
  claimConcurrency?: number
  /** False is `--disable-claim-events`. */
  claimEvents?: boolean
  /** False is `--disable-claim-observability-annotations`. */
  claimObservability?: boolean
  /** `--sandbox-warm-pool-concurrent-workers`; 10 unless said. */
  poolConcurrency?: number
  /** `--sandbox-template-concurrent-workers`; 10 unless said. */
  templateConcurrency?: number
  /** `--sandbox-warm-pool-max-batch-size`: members that are made or deleted in one go; 300 unless said. */
  poolBatchSize?: number
  /** `--sandbox-warm-pool-readiness-grace-period` in ms: how long members may take to become Ready; 5 minutes unless said. */
  poolReadinessGracePeriod?: number
  /** `--enable-warm-pool-eviction`: whether members may be evicted by a cluster autoscaler; true unless said. */
  poolEviction?: boolean
  /** Where the ConfigMap `agent-sandbox-config` may be mounted; without one it is asked for at the API server. */
  configDirectory?: string
}

interface StartOptions extends ExtensionsOptions {
  client: Client
  /** For what no claim waits for; what members are made by comes `later`, so that those that are made get done. */
  background: { sooner: Client; later: Client }
  record(component: string, about: AnyObject, event: PlannedEvent): void
  onError(error: unknown, where: string): void
  signal: AbortSignal
  metrics?: EngineMetrics
  tracer?: Tracer
  now?: () => number
}

type ExtensionCaches = Omit<PoolCaches, 'sandboxes'>

export function extensionCaches(informers: Informers): ExtensionCaches {
  return { ...templateCaches(informers), ...poolCaches(informers) }
}

export interface Extensions extends AsyncDisposable, Pick<Engine, 'idle'> {
  claims: ComingClaims
}

/** Returns at once; each controller starts when its caches have synced. */
export function startExtensions(
  caches: ExtensionCaches & { sandboxes: Informer<Sandbox>; pods: Informer<Pod> },
  options: StartOptions,
): Extensions {
  const { client, background, record, onError, metrics, tracer, now } = options
  const stop = new AbortController()
  let controllers: readonly (AsyncDisposable & Pick<Engine, 'idle'>)[] = []
  let claimController: ClaimController | undefined
  const owned = new AsyncDisposableStack()
  const comingClaims: ComingClaims = {
    coming: () => claimController?.coming() ?? false,
    settled: async (signal) => claimController?.settled(signal),
  }
  const engineOptions = (name: string, concurrency: number) => ({
    client: background.sooner,
    record: (about: AnyObject, event: PlannedEvent) => record(`${name}-controller`, about, event),
    onError: (error: unknown, key: string) => onError(error, `${name} ${key}`),
    concurrency,
    ...(metrics && { metrics }),
    ...(tracer && { tracer }),
    ...(now && { now }),
  })

  async function start(): Promise<void> {
    const { templates, policies, namespaces, pools, claims } = caches
    const kinds = [templates, policies, namespaces, pools, claims]
    const followed: readonly { synced(signal: AbortSignal): Promise<void> }[] = kinds
    await Promise.all(followed.map((informer) => informer.synced(stop.signal)))
    const domains = await followLabelDomains({
      client,
      directory: options.configDirectory,
      namespace: options.configNamespace ?? CONTROLLER_NAMESPACE,
      signal: stop.signal,
      changed: () => claimController?.reconsiderLabels(),
      onError: (error) => onError(error, 'reading which label domains claims may use'),
    })
    owned.use(domains)
    const labelDomains = () => domains.allowed
    const policyFailures = createPolicyFailures()
    const assignments = createAssignments(caches, { labelDomains, now: now ?? Date.now })
    const claimOptions = engineOptions('sandboxclaim', options.claimConcurrency ?? 50)
    // Before the pools: what is there is given away before more is made.
    claimController = startClaimController(caches, {
      ...claimOptions,
      client,
      record: options.claimEvents === false ? () => undefined : claimOptions.record,
      labelDomains,
      assignments,
      policyFailures,
      observability: options.claimObservability ?? true,
    })
    controllers = [
      claimController,
      startTemplateController(caches, {
        ...engineOptions('sandboxtemplate', options.templateConcurrency ?? 10),
        policyFailures,
      }),
      startPoolController(caches, {
        ...engineOptions('sandboxwarmpool', options.poolConcurrency ?? 10),
        client: background.later,
        maxBatchSize: options.poolBatchSize ?? 300,
        readinessGracePeriod: options.poolReadinessGracePeriod ?? 300_000,
        evictable: options.poolEviction ?? true,
        waitingClaims: claimController.waiting,
        assignments,
        policyFailures,
      }),
    ]
  }
  const started = start().catch((error: unknown) => {
    if (!stop.signal.aborted) onError(error, 'starting the controllers of templates, pools and claims')
  })
  return {
    claims: comingClaims,
    async idle() {
      await Promise.all(controllers.map((controller) => controller.idle()))
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the controllers were stopped'))
      await started
      await owned.disposeAsync()
      await Promise.all(controllers.map((controller) => controller[Symbol.asyncDispose]()))
    },
  }
}
