/** Ports of a Pod's containers that are in each other's way, which is no reason to refuse it. */
import type { Container, ContainerPort } from 'kubernetes-types/core/v1.js'

/**
 * An answer has 4096 characters of warnings at most, and each of these is longer than 40: beyond so many none is shown.
 * Each port may be in the way of each other one.
 */
const MOST_SHOWN = 4096 / 40

interface SeenPort {
  order: number
  path: string
  hostIP: string
  hostPort: number
}

/** Those before, of one port and protocol, by what they can be in the way of. */
interface Group {
  all: SeenPort[]
  /** Those without a port of the node. */
  unbound: SeenPort[]
  byHostPort: Map<number, Bound>
}

interface Bound {
  anyAddress: SeenPort[]
  oneAddress: SeenPort[]
  byAddress: Map<string, SeenPort[]>
}

/** In kube-apiserver's order; `containers` with the path of each, such as `spec.containers[0]`. */
export function portWarnings(containers: ReadonlyArray<readonly [path: string, container: Container]>): string[] {
  const ports = containers.flatMap(([path, container]) =>
    (container.ports ?? []).map((port, index): [string, ContainerPort] => [`${path}.ports[${index}]`, port]),
  )
  return [...conflictWarnings(ports), ...nameWarnings(ports)]
}

function conflictWarnings(ports: ReadonlyArray<readonly [path: string, port: ContainerPort]>): string[] {
  const warnings: string[] = []
  const groups = new Map<string, Group>()
  for (const [order, [path, port]] of ports.entries()) {
    if (warnings.length >= MOST_SHOWN) break
    const seen: SeenPort = { order, path, hostIP: port.hostIP ?? '', hostPort: port.hostPort ?? 0 }
    if (seen.hostIP !== '' && seen.hostPort === 0) {
      warnings.push(`${path}: hostIP set without hostPort: ${goPort(port)}`)
    }
    const key = `${port.containerPort}/${port.protocol}`
    const group: Group = groups.get(key) ?? { all: [], unbound: [], byHostPort: new Map() }
    groups.set(key, group)
    for (const other of inTheWay(seen, group)) warnings.push(`${path}: ${conflict(seen, other)} with ${other.path}`)
    remember(seen, group)
  }
  return warnings
}

/** The first that are in the way of `seen`. */
function inTheWay(seen: SeenPort, { all, unbound, byHostPort }: Group): SeenPort[] {
  if (seen.hostPort === 0) return all.slice(0, MOST_SHOWN)
  const bound = byHostPort.get(seen.hostPort)
  const alike = seen.hostIP === '' ? bound?.anyAddress : bound?.byAddress.get(seen.hostIP)
  const ambiguous = seen.hostIP === '' ? bound?.oneAddress : bound?.anyAddress
  return [unbound, alike ?? [], ambiguous ?? []]
    .flatMap((others) => others.slice(0, MOST_SHOWN))
    .sort((a, b) => a.order - b.order)
}

function remember(seen: SeenPort, { all, unbound, byHostPort }: Group): void {
  all.push(seen)
  if (seen.hostPort === 0) {
    unbound.push(seen)
    return
  }
  const bound: Bound = byHostPort.get(seen.hostPort) ?? { anyAddress: [], oneAddress: [], byAddress: new Map() }
  byHostPort.set(seen.hostPort, bound)
  if (seen.hostIP === '') bound.anyAddress.push(seen)
  else {
    bound.oneAddress.push(seen)
    const alike = bound.byAddress.get(seen.hostIP)
    if (alike) alike.push(seen)
    else bound.byAddress.set(seen.hostIP, [seen])
  }
}

function conflict(a: SeenPort, b: SeenPort): string {
  if (a.hostIP === b.hostIP && a.hostPort === b.hostPort) return 'duplicate port definition'
  if (a.hostPort === 0 || b.hostPort === 0) return 'overlapping port definition'
  return 'dangerously ambiguous port definition'
}

/** As Go prints the struct. */
function goPort({ name = '', hostPort = 0, containerPort, protocol = '', hostIP = '' }: ContainerPort): string {
  return `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`
}

function nameWarnings(ports: ReadonlyArray<readonly [path: string, port: ContainerPort]>): string[] {
  const firsts = new Map<string, string>()
  return ports.flatMap(([path, { name }]) => {
    if (!name) return []
    const first = firsts.get(name)
    if (first === undefined) {
      firsts.set(name, path)
      return []
    }
    return [
      `${path}: duplicate port name "${name}" with ${first}, services and probes that select ports by name will use ${first}`,
    ]
  })
}
