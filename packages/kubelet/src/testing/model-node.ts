/** For tests: agents of a node whose runtime is a model, one after the other, and the API server that it belongs to. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  createClient,
  createInformers,
  inProcessTransport,
  isNotFound,
  type PodObject,
  resources,
} from '@caisson/client'
import { type Kubelet, startKubelet } from '../start-kubelet.ts'
import { createModelMachine, type ModelMachine } from './model-runtime.ts'
import type { ApiServerModule } from './scratch-node.ts'
import { serveSnapshots } from './scratch-snapshots.ts'

export const MODEL_NODE = 'model'
const namespace = 'default'
const ADMINISTRATOR = { username: 'admin', groups: ['system:masters', 'system:authenticated'] }

/** What can happen to a node. Numbers choose among what there is. */
export type Happening =
  | { kind: 'create'; policy: 'Always' | 'OnFailure' | 'Never'; shape: 'one' | 'two' | 'init' | 'sidecar' }
  | { kind: 'exit'; which: number; code: number }
  | { kind: 'kill'; which: number }
  | { kind: 'delete'; which: number; force: boolean }
  /** The agent ends, between any two passes, and another one begins. */
  | { kind: 'restart' }
  /** The same, and the machine begins anew between the two. */
  | { kind: 'reboot' }
  /** Nothing happens for so long that every back-off is over. */
  | { kind: 'wait' }

export interface ModelNode extends AsyncDisposable {
  machine: ModelMachine
  /** How many sandboxes are still to be refused a network. */
  network: { refusals: number }
  errors: string[]
  dataDirectory: string
  happen(happening: Happening): Promise<void>
  /** Until the agent knows what the API knows, and has nothing to do. */
  rest(): Promise<void>
  /** Lets everything come to rest, as it does where nothing more goes wrong. */
  settle(): Promise<void>
  pods(): Promise<PodObject[]>
}

export interface ModelCluster extends AsyncDisposable {
  /** Of the administrator. */
  client: Client
  /** @param options.answerAfter how long the API takes to say that it has written a status, in ms */
  startNode(options?: { answerAfter?: number }): Promise<ModelNode>
  /** What others left behind is no part of a test. */
  removePods(): Promise<void>
}

export async function startModelCluster(apiserver: ApiServerModule): Promise<ModelCluster> {
  // In memory: the API answers no write before the disk has it, and another's work on a disk would decide how long that is.
  const directory = await mkdtemp('/dev/shm/caisson-engine-')
  const api = await apiserver.startApiServer({
    directory: join(directory, 'objects'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
  })
  const client = createClient(inProcessTransport(api.server.connect(ADMINISTRATOR)))
  await serveSnapshots({ client })
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
  return {
    client,
    startNode: ({ answerAfter = 0 } = {}) => {
      const direct = createClient(inProcessTransport(api.server.connect(apiserver.componentUsers.node(MODEL_NODE))))
      const node: Client = {
        ...direct,
        async patchStatus(...args) {
          const answer = await direct.patchStatus(...args)
          if (answerAfter > 0) await sleep(answerAfter)
          return answer
        },
      }
      return startModelNode({ client, node, directory })
    },
    async removePods() {
      for (const { metadata } of (await client.list(resources.pods, { namespace })).items)
        await client.delete(resources.pods, metadata.name ?? '', { namespace, gracePeriodSeconds: 0 })
    },
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}

let counter = 0

export function podSpec({ policy, shape }: Extract<Happening, { kind: 'create' }>): NonNullable<PodObject['spec']> {
  const container = (name: string) => ({ name, image: 'image' })
  return {
    nodeName: MODEL_NODE,
    automountServiceAccountToken: false,
    restartPolicy: policy,
    containers: shape === 'two' ? [container('main'), container('other')] : [container('main')],
    ...(shape === 'init' && { initContainers: [container('setup')] }),
    ...(shape === 'sidecar' && { initContainers: [{ ...container('proxy'), restartPolicy: 'Always' }] }),
  }
}

interface ModelNodeOptions {
  client: Client
  /** The agent's own. */
  node: Client
  directory: string
}

async function startModelNode({ client, node, directory }: ModelNodeOptions): Promise<ModelNode> {
  let clock = Date.UTC(2026, 0, 1)
  const now = () => clock
  const machine = createModelMachine(now)
  const network = { refusals: 0 }
  const dataDirectory = await mkdtemp(join(directory, 'node-'))
  const errors: string[] = []
  let parts: AsyncDisposableStack
  let kubelet: Kubelet

  async function start(): Promise<void> {
    parts = new AsyncDisposableStack()
    const informers = parts.use(createInformers(node))
    kubelet = parts.use(
      await startKubelet({
        client: node,
        informers,
        network: {
          adopt: async () => {},
          async admit() {
            if (network.refusals-- > 0) throw new Error('no network')
          },
          leave: () => {},
        },
        runtime: parts.use(machine.open()),
        recorder: { record() {} },
        dataDir: dataDirectory,
        nodeName: MODEL_NODE,
        fake: false,
        hostImage: true,
        signal: new AbortController().signal,
        onError: (error, where) => errors.push(`${where}: ${(error as Error).stack}`),
        now,
      }),
    )
  }
  await start()

  const pods = async () => (await client.list(resources.pods, { namespace })).items

  async function rest(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setImmediate(resolve))
      await kubelet.idle()
    }
  }

  async function wait(): Promise<void> {
    await rest()
    clock += 400_000
    // Timers run on the real clock: what is due by ours is looked at by the next agent.
    await parts.disposeAsync()
    await start()
    await rest()
  }

  async function happen(what: Happening): Promise<void> {
    clock += 1_000
    switch (what.kind) {
      case 'create': {
        await client.create(resources.pods, { metadata: { name: `p${++counter}` }, spec: podSpec(what) }, { namespace })
        return
      }
      case 'exit': {
        const running = machine.running()
        const id = running[what.which % running.length]
        if (id !== undefined) machine.exit(id, what.code)
        return
      }
      case 'kill': {
        // Only what several containers share can die under them.
        const shared = machine.sandboxes().filter((spec) => spec.shared)
        const spec = shared[what.which % shared.length]
        if (spec) machine.kill(spec.id)
        return
      }
      case 'delete': {
        const all = await pods()
        const name = all[what.which % all.length]?.metadata.name
        if (name === undefined) return
        try {
          await client.delete(resources.pods, name, { namespace, ...(what.force && { gracePeriodSeconds: 0 }) })
        } catch (error) {
          if (!isNotFound(error)) throw error
        }
        return
      }
      case 'restart':
      case 'reboot':
        await parts.disposeAsync()
        if (what.kind === 'reboot') machine.reboot()
        return await start()
      case 'wait':
        return await wait()
    }
  }

  return {
    machine,
    network,
    errors,
    dataDirectory,
    happen,
    rest,
    pods,
    async settle() {
      // Init containers, then the others: each may have a back-off of its own to wait for.
      for (let round = 0; round < 4; round++) {
        await wait()
        for (const id of machine.running()) if (id.includes('-i0-') && !(await isSidecar(id))) machine.exit(id, 0)
      }
      await wait()
    },
    async [Symbol.asyncDispose]() {
      await parts.disposeAsync()
    },
  }

  async function isSidecar(id: string): Promise<boolean> {
    const pod = (await pods()).find(({ metadata }) => id.startsWith(`${metadata.uid}-`))
    return pod?.spec?.initContainers?.[0]?.restartPolicy === 'Always'
  }
}
