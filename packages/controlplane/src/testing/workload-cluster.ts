/** For tests: an API server of its own with the workload controllers, and a node that is told what its Pods do. */
import { type AnyObject, type Client, type PodObject, resources } from '@caisson/client'
import { startWorkloadsWhenNeeded } from '../workloads/start-when-needed.ts'
import { type EmbeddedServer, NAMESPACE, startTestServer } from './test-server.ts'

export interface WorkloadCluster extends AsyncDisposable {
  /** Of an administrator. */
  client: Client
  /** `REASON MESSAGE` of each event, in order. */
  events: string[]
  /** What went wrong and was tried again. */
  errors: string[]
  pods(): Promise<PodObject[]>
  /** Every Pod that waits for a node gets one and is ready; what is being deleted goes. Returns whether any changed. */
  nodePass(): Promise<boolean>
  setPodStatus(name: string, status: object): Promise<void>
  /** Resolves once `holds` is true of what the server has: asked again with each change of any object. */
  until(holds: () => Promise<boolean> | boolean, options?: { node?: boolean }): Promise<void>
}

/** Of joined nodes, whose clusters have it. */
const UNSERVED = resources.certificateSigningRequests.plural

export async function startWorkloadCluster(embedded: EmbeddedServer): Promise<WorkloadCluster> {
  const stack = new AsyncDisposableStack()
  const { client, own, informers, signal } = stack.use(await startTestServer(embedded))
  const events: string[] = []
  const errors: string[] = []
  await informers.synced(signal)
  stack.use(
    startWorkloadsWhenNeeded({
      client: own,
      informers,
      record: (_component, _object: AnyObject, { reason, message }) => events.push(`${reason} ${message}`),
      onError: (error) => errors.push(error instanceof Error ? error.message : String(error)),
      now: Date.now,
      signal,
    }),
  )
  let changed = Promise.withResolvers<void>()
  const wake = (): void => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  for (const resource of Object.values(resources)) {
    if (resource.plural.endsWith('reviews') || resource.plural === UNSERVED) continue
    stack.use(informers.of<AnyObject>(resource).handle({ added: wake, updated: wake, deleted: wake }))
  }

  async function pods(): Promise<PodObject[]> {
    return (await client.list(resources.pods, { namespace: NAMESPACE })).items
  }
  async function setPodStatus(name: string, status: object): Promise<void> {
    await client.patchStatus(resources.pods, name, { status }, { namespace: NAMESPACE })
  }
  async function nodePass(): Promise<boolean> {
    let any = false
    for (const { metadata, spec, status } of await pods()) {
      const name = metadata.name ?? ''
      if (metadata.deletionTimestamp && spec?.nodeName && !metadata.finalizers?.length) {
        await client.request({
          method: 'DELETE',
          path: `/api/v1/namespaces/${NAMESPACE}/pods/${name}`,
          body: { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 },
        })
        any = true
      } else if (!spec?.nodeName && !metadata.deletionTimestamp) {
        const target = { apiVersion: 'v1', kind: 'Node', name: 'node' }
        await client.createSubresource(
          resources.pods,
          name,
          'binding',
          { metadata: { name }, target },
          { namespace: NAMESPACE },
        )
        any = true
      } else if (status?.phase === 'Pending' && !metadata.deletionTimestamp) {
        const lastTransitionTime = new Date().toISOString()
        const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }]
        await setPodStatus(name, { phase: 'Running', startTime: lastTransitionTime, conditions })
        any = true
      }
    }
    return any
  }
  return {
    client,
    events,
    errors,
    pods,
    nodePass,
    setPodStatus,
    async until(holds, { node = true } = {}) {
      for (;;) {
        const next = changed.promise
        if (node && (await nodePass())) continue
        if (await holds()) return
        await next
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
