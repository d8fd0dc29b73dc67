/** Looks at every HorizontalPodAutoscaler each 15 seconds: reads the target's scale and its Pods' metrics, and resizes it. */
import { kubernetesTime } from '@caisson/api'
import { type AnyObject, type Client, createWorkqueue, type Informer, keyOf, resources } from '@caisson/client'
import { type Autoscaler, type ObservedTarget, planAutoscaler, withConditions } from './plan-autoscaler.ts'
import type { PodMetrics } from './resource-replicas.ts'
import { noteChange, type ScalingHistory } from './scaling-behavior.ts'

export interface AutoscaleOptions {
  client: Client
  autoscalers: Informer<Autoscaler>
  record(object: AnyObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  onError(error: unknown, where: string): void
  now(): number
  /** ms between two looks at one; 15 s unless said. */
  period?: number
}

const PERIOD = 15_000

interface Scale {
  spec?: { replicas?: number }
  status?: { replicas?: number; selector?: string }
}

/** Works until disposed. */
export function autoscale({
  client,
  autoscalers,
  record,
  onError,
  now,
  period = PERIOD,
}: AutoscaleOptions): AsyncDisposable {
  const stack = new AsyncDisposableStack()
  const histories = new Map<string, ScalingHistory>()
  const queue = stack.use(
    createWorkqueue({
      concurrency: 5,
      onError: (error, key) => onError(error, `horizontal-pod-autoscaler ${key}`),
      async process(key, signal) {
        const autoscaler = autoscalers.get(key)
        if (!autoscaler || autoscaler.metadata.deletionTimestamp !== undefined) {
          histories.delete(key)
          return undefined
        }
        await pass(autoscaler, signal)
        return { requeueAfter: period }
      },
    }),
  )
  stack.use(
    autoscalers.handle({
      added: (one) => queue.add(keyOf(one)),
      updated: (old, one) => {
        if (JSON.stringify(old.spec) !== JSON.stringify(one.spec)) queue.add(keyOf(one))
      },
      deleted: (one) => queue.add(keyOf(one)),
    }),
  )

  async function pass(autoscaler: Autoscaler, signal: AbortSignal): Promise<void> {
    const { namespace = '' } = autoscaler.metadata
    let path: string
    let scale: Scale
    try {
      path = await scalePath(autoscaler, signal)
      scale = await client.request<Scale>({ method: 'GET', path, signal })
    } catch (error) {
      signal.throwIfAborted()
      const message = (error as Error).message
      record(autoscaler, { type: 'Warning', reason: 'FailedGetScale', message })
      const said = `the HPA controller was unable to get the target's current scale: ${message}`
      const unable = { type: 'AbleToScale', status: 'False', reason: 'FailedGetScale', message: said } as const
      await writeStatus(
        autoscaler,
        { ...autoscaler.status, conditions: withConditions(autoscaler.status?.conditions ?? [], [unable], now()) },
        signal,
      )
      return
    }
    const key = keyOf(autoscaler)
    const history = histories.get(key) ?? { recommendations: [], ups: [], downs: [] }
    histories.set(key, history)
    const currentReplicas = scale.spec?.replicas ?? 0
    const load = await loadOf(namespace, scale.status?.selector ?? '', signal)
    const plan = planAutoscaler({ autoscaler, currentReplicas, load, history }, now())
    for (const event of plan.events) record(autoscaler, event)
    if (!plan.rescale) return await writeStatus(autoscaler, plan.status, signal)
    const { replicas, reason } = plan.rescale
    try {
      const body = { spec: { replicas } }
      await client.request({ method: 'PATCH', path, body, patchType: 'application/merge-patch+json', signal })
    } catch (error) {
      record(autoscaler, {
        type: 'Warning',
        reason: 'FailedRescale',
        message: `New size: ${replicas}; reason: ${reason}; error: ${(error as Error).message}`,
      })
      throw error
    }
    noteChange(history, currentReplicas, replicas, now())
    record(autoscaler, {
      type: 'Normal',
      reason: 'SuccessfulRescale',
      message: `New size: ${replicas}; reason: ${reason}`,
    })
    const message = `the HPA controller was able to update the target scale to ${replicas}`
    const rescaled = { type: 'AbleToScale', status: 'True', reason: 'SucceededRescale', message } as const
    const status = plan.status as { conditions: never[] }
    const conditions = withConditions(status.conditions, [rescaled], now())
    await writeStatus(autoscaler, { ...status, conditions, lastScaleTime: kubernetesTime(now()) }, signal)
  }

  async function writeStatus(
    { metadata, status: before }: Autoscaler,
    status: object,
    signal: AbortSignal,
  ): Promise<void> {
    if (JSON.stringify(before) === JSON.stringify(status)) return
    await client.patchStatus(resources.horizontalPodAutoscalers, metadata.name ?? '', { status } as object, {
      namespace: metadata.namespace,
      signal,
    })
  }

  /** Where the target's size is, by discovery. */
  async function scalePath({ metadata, spec }: Autoscaler, signal: AbortSignal): Promise<string> {
    const { apiVersion = 'v1', kind = '', name = '' } = spec?.scaleTargetRef ?? {}
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    const { resources: served = [] } = await client.request<{ resources?: { name: string; kind: string }[] }>({
      method: 'GET',
      path: root,
      signal,
    })
    const plural = served.find((one) => one.kind === kind && !one.name.includes('/'))?.name
    if (plural === undefined)
      throw new Error(`no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`)
    return `${root}/namespaces/${metadata.namespace}/${plural}/${name}/scale`
  }

  async function loadOf(namespace: string, selector: string, signal: AbortSignal): Promise<ObservedTarget['load']> {
    if (selector === '') return new Error("the HPA target's scale is missing a selector")
    try {
      const list = await client.request<{ items?: PodMetrics[] }>({
        method: 'GET',
        path: `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`,
        query: { labelSelector: selector },
        signal,
      })
      const own = await client.list(resources.pods, { namespace, labelSelector: selector, signal })
      return { pods: own.items, metrics: list.items ?? [] }
    } catch (error) {
      signal.throwIfAborted()
      const said = 'unable to get metrics: unable to fetch metrics from resource metrics API'
      return new Error(`${said}: ${(error as Error).message}`)
    }
  }
  return stack.move()
}
