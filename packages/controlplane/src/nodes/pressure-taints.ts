/** Keeps Pods from nodes that are short of something: a condition becomes a taint, as kube-controller-manager does it. */
import { type Client, type Informers, isConflict, isNotFound, resources, type Typed } from '@caisson/client'
import type { Node, Taint } from 'kubernetes-types/core/v1.d.ts'

const TAINTS: ReadonlyArray<[condition: string, key: string]> = [
  ['MemoryPressure', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'node.kubernetes.io/pid-pressure'],
]

/** The taints that the node should have; undefined where it has them. Those of others stay as they are. */
export function planTaints({ spec, status }: Pick<Node, 'spec' | 'status'>): Taint[] | undefined {
  const present = spec?.taints ?? []
  const isMet = (type: string): boolean =>
    (status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True')
  const wanted = TAINTS.filter(([condition]) => isMet(condition)).map(([, key]) => key)
  const isOurs = ({ key, effect }: Taint): boolean => effect === 'NoSchedule' && TAINTS.some(([, ours]) => ours === key)
  const had = present.filter(isOurs).map(({ key }) => key)
  if (wanted.length === had.length && wanted.every((key) => had.includes(key))) return undefined
  const kept = present.filter((taint) => !isOurs(taint) || wanted.includes(taint.key))
  const made = wanted.filter((key) => !had.includes(key)).map((key): Taint => ({ key, effect: 'NoSchedule' }))
  return [...kept, ...made]
}

export interface PressureTaintsOptions {
  client: Client
  informers: Informers
  signal: AbortSignal
  onError(error: unknown, where: string): void
}

export function startPressureTaints({ client, informers, signal, onError }: PressureTaintsOptions): Disposable {
  const nodes = informers.of(resources.nodes)

  async function write({ metadata }: Typed<Node>, taints: Taint[]): Promise<void> {
    const { name = '', resourceVersion } = metadata
    try {
      nodes.observe(
        await client.patch(
          resources.nodes,
          name,
          { metadata: { resourceVersion }, spec: { taints } },
          { signal, type: 'merge' },
        ),
      )
    } catch (error) {
      // Its event brings it back here.
      if (!isConflict(error) && !isNotFound(error) && !signal.aborted) onError(error, `taints of node ${name}`)
    }
  }

  const look = (node: Typed<Node>): void => {
    const taints = planTaints(node)
    if (taints) void write(node, taints)
  }
  return nodes.handle({ added: look, updated: (_old, node) => look(node), deleted: () => {} })
}
