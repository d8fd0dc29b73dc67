/** What a new Node is kept free of until it has said that it is ready. */
import type { Taint } from 'kubernetes-types/core/v1.js'
import type { AdmissionRequest } from '../verbs/call.ts'

const NODES = 'system:nodes'
const NOT_READY: Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }

/**
 * Taints a new Node as not ready (TaintNodesByCondition), unless its own kubelet made it, which says by itself when it is
 * ready. The control plane takes the taint away when it is.
 */
export function taintNewNode({ object, user }: AdmissionRequest): void {
  if (!object || user.groups?.includes(NODES)) return
  const spec = (object['spec'] ??= {}) as { taints?: Taint[] }
  const taints = spec.taints ?? []
  if (!taints.some(({ key, effect }) => key === NOT_READY.key && effect === NOT_READY.effect))
    spec.taints = [...taints, { ...NOT_READY }]
}
