/** What the controllers' tests do with a cluster. There is no kubelet: tests say what becomes of a Pod. */
import { AGENTS_GROUP, type CustomResourceDefinition, type Sandbox, sandboxCrd } from '@caisson/api'
import {
  type AnyObject,
  type ApiRequest,
  type Client,
  createClient,
  createHttpTransport,
  createInformer,
  createInformers,
  createWorkqueue,
  defineResource,
  findConnection,
  isAlreadyExists,
  isNotFound,
  joinKey,
  keyOf,
  type Resource,
  resources,
  splitKey,
  type Transport,
} from '@caisson/client'
import type * as core from 'kubernetes-types/core/v1.d.ts'
import type { PlannedEvent } from '../engine/plan.ts'
import { SANDBOXES } from '../sandbox/objects.ts'
import { type Controllers, type StartControllersOptions, startControllers } from '../start-controllers.ts'

export const CRDS = defineResource<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
})

export const QUOTAS = defineResource<AnyObject & { spec: object }>({
  group: '',
  version: 'v1',
  plural: 'resourcequotas',
  kind: 'ResourceQuota',
  namespaced: true,
})

export const OLD_SANDBOXES = defineResource<Sandbox>({
  group: AGENTS_GROUP,
  version: 'v1alpha1',
  plural: 'sandboxes',
  kind: 'Sandbox',
  namespaced: true,
})

export interface TestCluster extends AsyncDisposable {
  /** Of an administrator. */
  client: Client
  /** What the controllers talk through. */
  transport: Transport
}

/** A write of the controllers, such as `POST pods` or `PATCH sandboxes/box/status`. */
type WriteLog = string[]

export interface RunningControllers extends AsyncDisposable {
  controllers: Controllers
  writes: WriteLog
  events: { about: string; type: string; reason: string; message: string }[]
  errors: string[]
}

/** Starts the controllers with a record of everything that they write and say. */
export async function runControllers(
  cluster: TestCluster,
  namespace: string,
  options: Partial<StartControllersOptions> = {},
): Promise<RunningControllers> {
  const writes: WriteLog = []
  const events: RunningControllers['events'] = []
  const errors: string[] = []
  const transport = watched(cluster.transport, (request) => {
    const path = request.path.split(`/namespaces/${namespace}/`)[1]
    if (path && request.method !== 'GET') writes.push(`${request.method} ${path}`)
  })
  const client = createClient(transport, { fieldManager: 'sandbox-controller' })
  const informers = createInformers(client)
  const controllers = await startControllers({
    client,
    informers,
    record: (_component, about: AnyObject, { type, reason, message }: PlannedEvent) => {
      if (about.metadata.namespace === namespace)
        events.push({ about: about.metadata.name ?? '', type, reason, message })
    },
    onError: (error, where) => {
      if (where.includes(` ${namespace}/`)) errors.push(error instanceof Error ? error.message : String(error))
    },
    signal: AbortSignal.timeout(20_000),
    ...options,
  })
  return {
    controllers,
    writes,
    events,
    errors,
    async [Symbol.asyncDispose]() {
      await controllers[Symbol.asyncDispose]()
      await informers[Symbol.asyncDispose]()
    },
  }
}

function watched(transport: Transport, saw: (request: ApiRequest) => void): Transport {
  return {
    request(request) {
      saw(request)
      return transport.request(request)
    },
    watch: (request) => transport.watch(request),
    stream: (request) => transport.stream(request),
    // The cluster outlives the controllers that are started on it.
    async [Symbol.asyncDispose]() {},
  }
}

/** The cluster that a kubeconfig names. Its user is administrator and controller. */
export async function connectCluster(kubeconfig: string): Promise<TestCluster> {
  const transport = createHttpTransport(await findConnection({ kubeconfig }))
  const client = createClient(transport)
  return { client, transport, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() }
}

/** Installs a CustomResourceDefinition, over another one where there is one, and waits until it is served. */
export async function installCrd(client: Client, crd: CustomResourceDefinition = sandboxCrd()): Promise<void> {
  const name = crd.metadata.name ?? ''
  try {
    await client.create(CRDS, crd)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
    const { metadata } = await client.get(CRDS, name)
    await client.update(CRDS, {
      ...crd,
      metadata: { ...crd.metadata, resourceVersion: metadata.resourceVersion ?? '' },
    })
  }
  await until(client, CRDS, { name }, (found) => {
    // Null in what kube-apiserver answers at first.
    const { conditions } = (found?.['status'] ?? {}) as { conditions?: { type: string; status: string }[] | null }
    return (conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True')
  })
}

/** Waits for an object to become what is asked for; undefined stands for an object that is gone. */
export async function until<T extends AnyObject>(
  client: Client,
  resource: Resource<T>,
  { namespace, name }: { namespace?: string; name: string },
  test: (object: T | undefined) => boolean,
): Promise<T> {
  await using informer = createInformer(client, resource, {
    ...(namespace && { namespace }),
    fieldSelector: `metadata.name=${name}`,
  })
  await informer.synced(AbortSignal.timeout(10_000))
  let last: T | undefined
  const seen = Promise.withResolvers<T>()
  const look = () => {
    last = informer.get(joinKey(namespace, name)) ?? last
    if (test(informer.get(joinKey(namespace, name)))) seen.resolve(last as T)
  }
  using _handler = informer.handle({ added: look, updated: look, deleted: look })
  look()
  const timer = setTimeout(() => {
    seen.reject(new Error(`${resource.kind} ${name} did not become what was waited for; it is ${JSON.stringify(last)}`))
  }, 10_000)
  try {
    return await seen.promise
  } finally {
    clearTimeout(timer)
  }
}

/** What a kubelet reports of a Pod that runs, is ready and can be reached. */
export const READY_STATUS: core.PodStatus = {
  phase: 'Running',
  podIP: '10.1.2.3',
  podIPs: [{ ip: '10.1.2.3' }],
  conditions: [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Ready', status: 'True' },
  ],
}

export async function podBecomes(
  client: Client,
  at: { namespace: string; name: string },
  status: core.PodStatus,
): Promise<void> {
  await until(client, resources.pods, at, (pod) => pod !== undefined)
  await client.patchStatus(resources.pods, at.name, { status }, { namespace: at.namespace })
}

/** What a kubelet does with a Pod that is being deleted. */
export async function podEnds(client: Client, at: { namespace: string; name: string }): Promise<void> {
  await client.delete(resources.pods, at.name, { namespace: at.namespace, gracePeriodSeconds: 0 })
}

export function sandboxNamed(name: string, spec: Partial<Sandbox['spec']> = {}): Sandbox {
  return {
    apiVersion: SANDBOXES.apiVersion,
    kind: 'Sandbox',
    metadata: { name },
    spec: {
      podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } },
      ...spec,
    },
  }
}

/** A kubelet as far as it matters here: every Pod is Ready at once. */
export async function startTestNode(client: Client, namespace: string): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack()
  const pods = stack.use(createInformers(client)).of(resources.pods, { namespace })
  const queue = stack.use(
    createWorkqueue({
      async process(key) {
        if (pods.get(key)?.status?.phase === 'Running') return
        try {
          await client.patchStatus(resources.pods, splitKey(key).name, { status: READY_STATUS }, { namespace })
        } catch (error) {
          if (!isNotFound(error)) throw error
        }
      },
    }),
  )
  stack.use(pods.handle({ added: (pod) => queue.add(keyOf(pod)) }))
  return stack
}
