/** NodeMetrics and PodMetrics of metrics.k8s.io: what metrics-server serves on other clusters, from the nodes' summaries. */
import { type KubeObject, kubernetesTime } from '@caisson/api'
import type { FindNode } from '../http/node-proxy.ts'
import type { Column, Resource } from '../registry/resource.ts'
import type { Store } from '../storage/store.ts'
import type { ComputedKind } from '../verbs/environment.ts'

const GROUP = 'metrics.k8s.io'
const VERSION = 'v1beta1'
const DEFINITIONS = 'io.k8s.metrics.pkg.apis.metrics.v1beta1'

/** The parts of a kubelet's summary that are used here. */
interface NodeSummary {
  node: UsageStats
  pods: Array<
    UsageStats & {
      podRef: { name: string; namespace: string; uid: string }
      containers: Array<UsageStats & { name: string }>
    }
  >
}

interface UsageStats {
  cpu?: { time: string; usageNanoCores: number }
  memory?: { workingSetBytes: number }
}

/** What usage is told over: the kubelet's own rate is that of at least ten seconds. */
const WINDOW = '10s'
/** A node that does not answer must not hold up who asks for all. */
const PATIENCE_MS = 5_000

export function metricsKinds(): Resource[] {
  return [kind('NodeMetrics', 'nodes', false), kind('PodMetrics', 'pods', true)]
}

function kind(name: string, plural: string, namespaced: boolean): Resource {
  return {
    group: GROUP,
    version: VERSION,
    kind: name,
    listKind: `${name}List`,
    plural,
    // As metrics-server has it.
    singular: '',
    shortNames: [],
    categories: [],
    namespaced,
    verbs: ['get', 'list'],
    storageVersion: VERSION,
    schema: { $ref: `${DEFINITIONS}.${name}` },
    strategy: {},
    columns: [
      { name: 'Name', type: 'string', format: 'name', cell: ({ metadata }) => metadata.name ?? '' },
      usageColumn('cpu', 'CPU'),
      usageColumn('memory', 'Memory'),
      { name: 'Window', type: 'string', cell: (object) => (object as { window?: string }).window ?? '' },
    ],
    selectableFields: {},
    status: false,
    structural: true,
  }
}

interface Usage {
  cpu: string
  memory: string
}

function usageColumn(resource: keyof Usage, name: string): Column {
  return {
    name,
    type: 'string',
    cell(object) {
      const { usage, containers = [] } = object as { usage?: Usage; containers?: Array<{ usage: Usage }> }
      const all = usage ? [usage] : containers.map((each) => each.usage)
      const sum = all.reduce((total, each) => total + Number.parseInt(each[resource], 10), 0)
      return resource === 'cpu' ? `${sum}n` : `${sum}Ki`
    },
  }
}

export function computeMetrics(options: {
  store: Store
  findNode: FindNode
  now: () => number
}): Readonly<Record<string, ComputedKind>> {
  const { store, findNode } = options

  async function summaries(): Promise<Map<string, NodeSummary>> {
    const nodes = [...store.list('nodes')].map(({ metadata }) => metadata.name ?? '')
    const answers = await Promise.all(nodes.map(async (name) => [name, await summaryOf(name)] as const))
    return new Map(answers.filter((answer): answer is [string, NodeSummary] => answer[1] !== undefined))
  }

  /** Undefined where the node does not answer: it is left out, as metrics-server leaves it out. */
  async function summaryOf(name: string): Promise<NodeSummary | undefined> {
    const node = findNode(name)
    if (!node?.stream) return undefined
    try {
      const chunks: Uint8Array[] = []
      for await (const chunk of node.stream('/stats/summary', AbortSignal.timeout(PATIENCE_MS))) chunks.push(chunk)
      return JSON.parse(Buffer.concat(chunks).toString()) as NodeSummary
    } catch {
      return undefined
    }
  }

  function metrics(kind: string, of: KubeObject, time: string | undefined): KubeObject {
    const { name = '', namespace, labels } = of.metadata
    const now = kubernetesTime(options.now())
    return {
      apiVersion: `${GROUP}/${VERSION}`,
      kind,
      metadata: {
        name,
        ...(namespace !== undefined && { namespace }),
        creationTimestamp: now,
        ...(labels && { labels }),
      },
      timestamp: time ?? now,
      window: WINDOW,
    }
  }

  return {
    [`nodes.${GROUP}`]: async () =>
      [...(await summaries())].flatMap(([name, { node }]) => {
        const object = store.get('nodes', undefined, name)
        const usage = usageOf(node)
        return object && usage ? [{ ...metrics('NodeMetrics', object, node.cpu?.time), usage }] : []
      }),
    [`pods.${GROUP}`]: async (namespace) =>
      [...(await summaries()).values()].flatMap(({ pods }) =>
        pods.flatMap((pod) => {
          if (namespace !== undefined && pod.podRef.namespace !== namespace) return []
          const object = store.get('pods', pod.podRef.namespace, pod.podRef.name)
          if (object?.metadata.uid !== pod.podRef.uid) return []
          const containers = containerUsages(pod)
          return containers.length > 0 ? [{ ...metrics('PodMetrics', object, pod.cpu?.time), containers }] : []
        }),
      ),
  }
}

/** Containers of one sandbox are not told apart: then the sandbox is told of as a whole, so that the Pod's sum is right. */
function containerUsages(pod: NodeSummary['pods'][number]): Array<{ name: string; usage: Usage }> {
  const told = pod.containers.flatMap((container) => {
    const usage = usageOf(container)
    return usage ? [{ name: container.name, usage }] : []
  })
  const whole = usageOf(pod)
  return told.length > 0 || !whole ? told : [{ name: 'sandbox', usage: whole }]
}

/** In metrics-server's units. */
function usageOf({ cpu, memory }: UsageStats): Usage | undefined {
  if (!cpu || !memory) return undefined
  return { cpu: `${cpu.usageNanoCores}n`, memory: `${Math.floor(memory.workingSetBytes / 1024)}Ki` }
}
