/** For tests: a node with real containers, and the API server that it belongs to, in a directory of their own. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { UserInfo } from '@caisson/api'
import {
  type AnyObject,
  type Client,
  createClient,
  createInformers,
  type EventInput,
  type InProcessServer,
  inProcessTransport,
  isNotFound,
  type PodObject,
  resources,
  type Transport,
} from '@caisson/client'
import { startNetwork } from '@caisson/network'
import { createRuntime, defaultToolsDirectory, installTools, type Runtime } from '@caisson/runtime'
import type { ObjectReference, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { snapshotImages } from '../snapshots/snapshot-images.ts'
import { type Kubelet, startKubelet } from '../start-kubelet.ts'

/** What is used of @caisson/apiserver, which only test files may import: they hand it in. */
export interface ApiServerModule {
  startApiServer(options: {
    directory: string
    certificates: string
    host: string
    port: number
  }): Promise<AsyncDisposable & { server: { connect(user: UserInfo): InProcessServer } }>
  componentUsers: { node(name: string): UserInfo }
}

const NODE_NAME = 'scratch'
const NAMES = {
  apiServer: { host: '127.0.0.1', port: 1 },
  dns: { domain: 'cluster.local', address: '10.96.0.10' },
  serviceRange: '10.96.0.0/16',
}
const ADMINISTRATOR: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

export interface ScratchNode extends AsyncDisposable {
  /** Of the administrator. */
  client: Client
  /** Of the agent that runs now. */
  kubelet: Kubelet
  runtime: Runtime
  dataDirectory: string
  /** Of the runtime. */
  stateDirectory: string
  /** What the agent wrote, such as `PATCH pods/web/status`; events left out. */
  writes: string[]
  /** What it said, as `POD: Reason message`. */
  events: string[]
  errors: string[]
  create(name: string, spec: Partial<PodSpec>, metadata?: PodObject['metadata']): Promise<PodObject>
  /** The Pod as soon as it is so. */
  until(name: string, holds: (pod: PodObject) => boolean | undefined): Promise<PodObject>
  gone(name: string): Promise<void>
  log(name: string, options?: { container?: string; query?: string }): Promise<string>
  /** Ends the agent and starts another one over what it left. */
  restart(between?: () => Promise<void>): Promise<void>
}

export async function startScratchNode(
  { startApiServer, componentUsers }: ApiServerModule,
  options: {
    fake?: boolean
    toolsDirectory?: string
    now?: () => number
    snapshotBytes?: number
    /** Beside the safe ones. */
    allowedSysctls?: readonly string[]
    /** Of a disk of its own for the node's files, and for its runtime's. */
    dataBytes?: number
    runtimeBytes?: number
    /** Of the memory for files of Secrets and tokens. */
    secretsBytes?: number
    pressureIntervalMs?: number
    /** How long the API takes to take the Node in. */
    registrationMs?: number
  } = {},
): Promise<ScratchNode> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'caisson-node-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const api = stack.use(
    await startApiServer({
      directory: join(directory, 'objects'),
      certificates: join(directory, 'pki'),
      host: '127.0.0.1',
      port: 0,
    }),
  )
  const client = createClient(inProcessTransport(api.server.connect(ADMINISTRATOR)))
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: 'default' })
  // What admission would refuse is a test of the node here.
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  await client.patch(resources.namespaces, 'default', { metadata: { labels } })
  for (const [name, handler] of [
    ['gvisor', 'runsc'],
    ['runc', 'runc'],
    ['crun', 'crun'],
    ['fake', 'fake'],
    ['unknown', 'no-such-runtime'],
  ] as const) {
    await client.create(resources.runtimeClasses, { metadata: { name }, handler })
  }
  const toolsDirectory = options.toolsDirectory ?? (await tools())
  const [dataDirectory, stateDirectory] = [join(directory, 'kubelet'), join(directory, 'runtime')]
  for (const [path, bytes] of [
    [dataDirectory, options.dataBytes],
    [stateDirectory, options.runtimeBytes],
  ] as const) {
    await mkdir(path, { mode: 0o700 })
    if (bytes === undefined) continue
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', path])
    // A process that has just been told to end may have a file on it open for a moment.
    stack.defer(async () => void (await promisify(execFile)('umount', ['--lazy', path])))
  }
  const writes: string[] = []
  const events: string[] = []
  const errors: string[] = []

  async function startAgent(): Promise<{ kubelet: Kubelet; runtime: Runtime } & AsyncDisposable> {
    await using parts = new AsyncDisposableStack()
    const transport = watched(inProcessTransport(api.server.connect(componentUsers.node(NODE_NAME))), {
      writes,
      registrationMs: options.registrationMs ?? 0,
    })
    const node = createClient(transport, { fieldManager: 'kubelet' })
    const informers = parts.use(createInformers(node))
    const runtime = parts.use(
      await createRuntime({ stateDirectory, toolsDirectory, imagesKept: () => snapshotImages(dataDirectory) }),
    )
    const signal = new AbortController().signal
    const onError = (error: unknown, where: string): number => errors.push(`${where}: ${(error as Error).message}`)
    const record = (about: AnyObject | ObjectReference, { reason, message }: EventInput): number =>
      events.push(`${'metadata' in about ? about.metadata.name : about.name}: ${reason} ${message}`)
    const networkInformers = parts.use(createInformers(client))
    const network = parts.use(
      await startNetwork({
        informers: networkInformers,
        nodeName: NODE_NAME,
        control: runtime.network,
        ...NAMES,
        signal,
        record,
        onError,
      }),
    )
    const kubelet = parts.use(
      await startKubelet({
        client: node,
        informers,
        runtime,
        network,
        recorder: { record },
        dataDir: dataDirectory,
        nodeName: NODE_NAME,
        fake: options.fake ?? false,
        hostImage: true,
        ...(options.now && { now: options.now }),
        ...(options.snapshotBytes !== undefined && { snapshotBytes: options.snapshotBytes }),
        allowedSysctls: options.allowedSysctls,
        secretsBytes: options.secretsBytes,
        pressureIntervalMs: options.pressureIntervalMs,
        signal,
        onError,
      }),
    )
    const owned = parts.move()
    return { kubelet, runtime, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  }

  let agent = await startAgent()
  stack.defer(async () => {
    await agent.kubelet.stopAll({ graceMs: 0 })
    await agent[Symbol.asyncDispose]()
  })
  const at = { namespace: 'default' }

  async function until(name: string, holds: (pod: PodObject) => boolean | undefined): Promise<PodObject> {
    for (;;) {
      // A watch may end at any time; what it said counts.
      for await (const event of client.watch(resources.pods, { ...at, fieldSelector: `metadata.name=${name}` })) {
        if (event.type !== 'BOOKMARK' && event.type !== 'ERROR' && holds(event.object)) return event.object
      }
    }
  }

  const owned = stack.move()
  return {
    client,
    get kubelet() {
      return agent.kubelet
    },
    get runtime() {
      return agent.runtime
    },
    dataDirectory,
    stateDirectory,
    writes,
    events,
    errors,
    create: (name, spec, metadata = {}) =>
      client.create(
        resources.pods,
        {
          metadata: { ...metadata, name },
          spec: { nodeName: NODE_NAME, automountServiceAccountToken: false, containers: [], ...spec },
        },
        at,
      ),
    until,
    async gone(name) {
      let uid: string | undefined
      try {
        uid = (await client.get(resources.pods, name, at)).metadata.uid
      } catch (error) {
        if (isNotFound(error)) return
        throw error
      }
      for await (const event of client.watch(resources.pods, { ...at, fieldSelector: `metadata.name=${name}` })) {
        if (event.type === 'DELETED' && event.object.metadata.uid === uid) return
      }
    },
    async log(name, { container = 'main', query = '' } = {}) {
      const chunks: Uint8Array[] = []
      const url = `/containerLogs/default/${name}/${container}?${query}`
      for await (const chunk of agent.kubelet.api.stream(url, undefined)) chunks.push(chunk)
      return Buffer.concat(chunks).toString()
    },
    async restart(between) {
      await agent[Symbol.asyncDispose]()
      await between?.()
      agent = await startAgent()
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function tools(): Promise<string> {
  const directory = defaultToolsDirectory()
  await installTools(directory, { tools: ['runsc'] })
  return directory
}

function watched(
  transport: Transport,
  { writes, registrationMs }: { writes: string[]; registrationMs: number },
): Transport {
  return {
    async request(request) {
      if (request.method === 'POST' && request.path.endsWith('/nodes')) await sleep(registrationMs)
      const path = request.path.replace(/^.*\/namespaces\/[^/]+\//, '')
      if (request.method !== 'GET' && !/\/(nodes|leases|events)(\/|$)/.test(request.path)) {
        writes.push(`${request.method} ${path}`)
      }
      return await transport.request(request)
    },
    watch: (request) => transport.watch(request),
    stream: (request) => transport.stream(request),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}
