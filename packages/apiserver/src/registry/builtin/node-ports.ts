/** Ports of nodes that Services have: those that they ask for, and free ones for the others. */
import type { Service, ServiceSpec } from 'kubernetes-types/core/v1.js'
import { invalid, StatusError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'
import type { StrategyContext } from '../resource.ts'
import { needsHealthCheck, otherSpecs, usesNodePorts } from './service-addresses.ts'

const FIRST = 30_000
const COUNT = 2_768
const RANGE = `${FIRST}-${FIRST + COUNT - 1}`

/**
 * Fills `nodePort` of ports and `healthCheckNodePort` where the Service has them.
 *
 * @throws StatusError where a port that was asked for is taken or outside of the range, or none is free
 */
export function allocateNodePorts(service: Service, current: Service | undefined, context: StrategyContext): void {
  const spec = service.spec as ServiceSpec
  const old = current?.spec
  if (!usesNodePorts(spec)) return
  const free = freePorts(service, context)
  const had = new Set(old && usesNodePorts(old) ? old.ports?.map(({ nodePort }) => nodePort) : [])
  const byPort = new Map<number, number>()
  spec.ports?.forEach((port, index) => {
    const wanted = port.nodePort
    if (!wanted) return
    // Ports of several protocols may share one.
    const problem = had.has(wanted) || byPort.get(port.port) === wanted ? undefined : free.problemOf(wanted)
    if (problem) {
      throw invalid({ group: '', kind: 'Service' }, service.metadata?.name ?? '', [
        invalidValue(`spec.ports[${index}].nodePort`, wanted, problem),
      ])
    }
    free.take(wanted)
    byPort.set(port.port, wanted)
  })
  if (spec.type !== 'LoadBalancer' || spec.allocateLoadBalancerNodePorts !== false) {
    for (const port of spec.ports ?? []) {
      if (port.nodePort) continue
      port.nodePort = byPort.get(port.port) ?? free.next('a nodePort')
      byPort.set(port.port, port.nodePort)
    }
  }
  if (needsHealthCheck(spec) && !(old && needsHealthCheck(old))) allocateHealthCheckPort(spec, free)
}

function allocateHealthCheckPort(spec: ServiceSpec, free: FreePorts): void {
  const wanted = spec.healthCheckNodePort
  if (!wanted) {
    spec.healthCheckNodePort = free.next('a HealthCheck NodePort 0')
    return
  }
  const problem = free.problemOf(wanted)
  if (problem) throw failed(`requested HealthCheck NodePort ${wanted}: ${problem}`)
  free.take(wanted)
}

interface FreePorts {
  /** Why it cannot be had. */
  problemOf(port: number): string | undefined
  take(port: number): void
  /** One that nobody has; `what` for whoever is told that there is none. */
  next(what: string): number
}

/** Begins to look at a place that differs from time to time, and goes on where it was. */
function freePorts(service: Service, context: StrategyContext): FreePorts {
  const taken = new Set<number>()
  for (const other of otherSpecs(service, context)) {
    for (const { nodePort } of other.ports ?? []) if (nodePort) taken.add(nodePort)
    if (other.healthCheckNodePort) taken.add(other.healthCheckNodePort)
  }
  let looked = 0
  return {
    problemOf(port) {
      if (port < FIRST || port >= FIRST + COUNT)
        return `provided port is not in the valid range. The range of valid ports is ${RANGE}`
      return taken.has(port) ? 'provided port is already allocated' : undefined
    },
    take: (port) => void taken.add(port),
    next(what) {
      for (; looked < COUNT; looked++) {
        const port = FIRST + ((context.now + looked) % COUNT)
        if (taken.has(port)) continue
        taken.add(port)
        return port
      }
      throw failed(`${what}: range is full`)
    },
  }
}

function failed(what: string): StatusError {
  return new StatusError('InternalError', `Internal error occurred: failed to allocate ${what}`)
}
