/**
 * Keeps Pods from nodes that are short of something: a condition becomes a taint, as kube-controller-manager does it. What
 * admission put on a node that is none of ours is taken away when the node is ready.
 */
import { type Client, type Informers, isConflict, isNotFound, resources, type Typed } from '@caisson/client'
import type { Node, Taint } from 'kubernetes-types/core/v1.d.ts'

const TAINTS: ReadonlyArray<[condition: string, key: string]> = [
  ['MemoryPressure', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'node.kubernetes.io/pid-pressure'],
]

const NOT_READY = 'node.kubernetes.io/not-ready'

/** The taints that the node should have; undefined where it has them. Those of others stay as they are. */
export function planTaints({ spec, status }: Pick<Node, 'spec' | 'status'>): Taint[] | undefined {
  const present = (spec?.taints ?? []).filter(({ effect }) => effect === 'NoSchedule').map(({ key }) => key)
  const isMet = (type: string): boolean =>
    (status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True')
  const over = TAINTS.filter(([condition]) => !isMet(condition)).map(([, key]) => key)
  if (isMet('Ready')) over.push(NOT_READY)
  const missing = TAINTS.filter(([condition, key]) => isMet(condition) && !present.includes(key))
  if (missing.length === 0 && !present.some((key) => over.includes(key))) return undefined
  const kept = (spec?.taints ?? []).filter(({ key, effect }) => effect !== 'NoSchedule' || !over.includes(key))
  return [...kept, ...missing.map(([, key]): Taint => ({ key, effect: 'NoSchedule' }))]
}

export interface ConditionTaintsOptions {
  client: Client
  informers: Informers
  signal: AbortSignal
  onError(error: unknown, where: string): void
}

export function startConditionTaints({ client, informers, signal, onError }: ConditionTaintsOptions): Disposable {
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
