/** The rules of all Services, and the loopback ports that lead to them, kept up to date. */
import type { RuleChange, RulePiece } from '@caisson/runtime'
import { createNamespaceBudget, type Granted } from '../namespace-budget.ts'
import type { LoopbackPorts } from './loopback-ports.ts'
import {
  costOfService,
  SERVICES_BUDGET,
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
  /** For whoever connects to a NodePort that leads nowhere; he waits for it. */
  awaken?(service: ServiceObject): Promise<void>
  /** A Service is left out. Told again only after it was not, or for another reason. */
  onLeftOut(service: ServiceObject, why: string): void
}

const LOOPBACK = '127.0.0.1'

export function createServiceRules(options: ServiceRulesOptions): ServiceRules {
  const { loopback, podNamespaceAt, onLeftOut } = options
  const pieces = new Map<string, string>()
  const problems = new Map<string, string>()
  /** By Service, since one may come to have what another had before it is heard that this has it no more. */
  const nodePorts = new Map<string, Map<string, ServicePort>>()
  let change = new Map<string, RulePiece | undefined>()

  function setNodePorts(key: string, ports: readonly ServicePort[], service: ServiceObject | undefined): void {
    const before = nodePorts.get(key) ?? new Map<string, ServicePort>()
    const after = new Map<string, ServicePort>()
    for (const port of ports) {
      if (port.nodePort !== undefined && port.protocol !== 'sctp')
        after.set(`node port ${port.protocol} ${port.nodePort} of service ${key}`, port)
    }
    for (const id of before.keys()) if (!after.has(id)) void loopback.close(id)
    if (after.size > 0) nodePorts.set(key, after)
    else nodePorts.delete(key)
    const { namespace = '' } = service?.metadata ?? {}
    for (const [id, { protocol, nodePort = 0 }] of after) {
      const target = (): Target | undefined => {
        const targets = nodePorts.get(key)?.get(id)?.targets ?? []
        const reachable = targets.filter(({ ip }) => podNamespaceAt(ip) === namespace)
        return reachable[Math.floor(Math.random() * reachable.length)]
      }
      const awaken = async (): Promise<Target | undefined> => {
        if (service) await options.awaken?.(service)
        return target()
      }
      void loopback.keep(id, { protocol: protocol as 'tcp' | 'udp', address: LOOPBACK, port: nodePort, target, awaken })
    }
  }

  const budget = createNamespaceBudget(SERVICES_BUDGET)
  /** What each Service would lead to. */
  const known = new Map<
    string,
    { service: ServiceObject; ports: readonly ServicePort[]; problem: string | undefined }
  >()

  function lead(key: string, fits: boolean): void {
    const own = known.get(key)
    const namespace = own?.service.metadata.namespace ?? ''
    const problem = own?.problem ?? (fits ? undefined : tooMuch(namespace))
    if (own && problem !== undefined && problems.get(key) !== problem) onLeftOut(own.service, problem)
    if (problem === undefined) problems.delete(key)
    else problems.set(key, problem)
    const led = problem === undefined ? (own?.ports ?? []) : []
    setNodePorts(key, led, own?.service)
    const piece = servicePiece(led)
    const text = JSON.stringify(piece)
    if (pieces.get(key) === text) return
    if (piece.elements?.length) pieces.set(key, text)
    else if (!pieces.delete(key)) return
    change.set(`service ${key}`, piece.elements?.length ? piece : undefined)
  }

  function grant(granted: ReadonlyMap<string, Granted>): void {
    for (const [key, { level }] of granted) lead(key, level === 0)
  }

  return {
    set(key, service, slices) {
      if (!service) {
        known.delete(key)
        grant(budget.remove(key))
        lead(key, true)
        return
      }
      const ports = servicePorts(service, slices)
      const problem = serviceProblem(service, slices, ports)
      known.set(key, { service, ports, problem })
      const { namespace = '', creationTimestamp: age = '' } = service.metadata
      grant(budget.set(key, { namespace, age, costs: [problem === undefined ? costOfService(ports) : 0] }))
    },
    take() {
      const taken = change
      change = new Map()
      return taken
    },
  }
}

/** The same whatever the others are just now: it is told once. */
function tooMuch(namespace: string): string {
  return `the older Services of namespace ${namespace} leave too little of what all of them may take, ${SERVICES_BUDGET}, where a port counts for 10, an endpoint of it for 1, and with sessionAffinity for 50: remove some, or make them smaller`
}
