/** The rules of all Services, and the loopback ports that lead to them, kept up to date. */
import type { RuleChange, RulePiece } from '@caisson/runtime'
import type { LoopbackPorts } from './loopback-ports.ts'
import {
  type ServiceObject,
  type ServicePort,
  type SliceObject,
  servicePorts,
  serviceProblem,
  type Target,
} from './service-model.ts'
import { servicePiece } from './service-piece.ts'

export interface ServiceRules {
  /** Undefined where it is gone. */
  set(key: string, service: ServiceObject | undefined, slices: readonly SliceObject[]): void
  /** What has to change in the kernel because of all that was set since the last time. */
  take(): RuleChange
}

export interface ServiceRulesOptions {
  loopback: LoopbackPorts
  /**
   * The namespace of the Pod with this address. This process connects to Pods of the Service's own alone: where else a
   * slice leads is for sandboxes to go, by their own egress and the ingress of who is there.
   */
  podNamespaceAt(ip: string): string | undefined
  /** A Service is left out. Told again only after it was not, or for another reason. */
  onLeftOut(service: ServiceObject, why: string): void
  onError(error: unknown, where: string): void
}

const LOOPBACK = '127.0.0.1'

export function createServiceRules({
  loopback,
  podNamespaceAt,
  onLeftOut,
  onError,
}: ServiceRulesOptions): ServiceRules {
  const pieces = new Map<string, string>()
  const problems = new Map<string, string>()
  const nodePorts = new Map<string, Map<string, ServicePort>>()
  let change = new Map<string, RulePiece | undefined>()

  function setNodePorts(key: string, ports: readonly ServicePort[], namespace: string): void {
    const before = nodePorts.get(key) ?? new Map<string, ServicePort>()
    const after = new Map<string, ServicePort>()
    for (const port of ports) {
      if (port.nodePort !== undefined && port.protocol !== 'sctp')
        after.set(`node port ${port.protocol} ${port.nodePort}`, port)
    }
    for (const id of before.keys()) if (!after.has(id)) void loopback.close(id)
    for (const [id, { protocol, nodePort = 0, targets }] of after) {
      const target = (): Target | undefined => {
        const reachable = targets.filter(({ ip }) => podNamespaceAt(ip) === namespace)
        return reachable[Math.floor(Math.random() * reachable.length)]
      }
      loopback
        .open(id, { protocol: protocol as 'tcp' | 'udp', address: LOOPBACK, port: nodePort, target })
        .catch((error: unknown) => onError(error, `${id} of service ${key}`))
    }
    if (after.size > 0) nodePorts.set(key, after)
    else nodePorts.delete(key)
  }

  return {
    set(key, service, slices) {
      const found = service ? servicePorts(service, slices) : []
      const problem = service && serviceProblem(service, found)
      if (problem !== undefined && problems.get(key) !== problem) onLeftOut(service as ServiceObject, problem)
      if (problem === undefined) problems.delete(key)
      else problems.set(key, problem)
      const ports = problem === undefined ? found : []
      setNodePorts(key, ports, service?.metadata.namespace ?? '')
      const piece = servicePiece(ports)
      const text = JSON.stringify(piece)
      if (pieces.get(key) === text) return
      if (piece.elements?.length) pieces.set(key, text)
      else if (!pieces.delete(key)) return
      change.set(`service ${key}`, piece.elements?.length ? piece : undefined)
    },
    take() {
      const taken = change
      change = new Map()
      return taken
    },
  }
}
