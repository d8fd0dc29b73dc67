import type { Container, PodSpec, ServicePort } from 'kubernetes-types/core/v1.d.ts'

interface Port {
  port: number
  protocol: string
  name?: string
}

/**
 * The ports of a Sandbox's Service: each port of its containers and of its sidecars once, in order. The first name that a
 * port is given stays with it; where two ports are given the same name the first has it. One without a name is called
 * `p-PORT-PROTOCOL`.
 */
export function servicePorts(spec: PodSpec): ServicePort[] {
  const ports = new Map<string, Port>()
  const names = new Set<string>()
  for (const { containerPort, protocol = 'TCP', name } of containersOf(spec).flatMap(
    (container) => container.ports ?? [],
  )) {
    if (!containerPort) continue
    const key = `${containerPort}/${protocol}`
    const port = ports.get(key) ?? { port: containerPort, protocol }
    ports.set(key, port)
    if (!name || port.name || names.has(name)) continue
    port.name = name
    names.add(name)
  }
  return [...ports.values()]
    .sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1))
    .map(({ port, protocol, name }) => ({
      name: name ?? generatedName(port, protocol, names),
      protocol,
      port,
      targetPort: port,
    }))
}

/** Init containers that go on running beside the others are reachable too; those that end are not. */
function containersOf(spec: PodSpec): Container[] {
  const sidecars = (spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  return [...(spec.containers ?? []), ...sidecars]
}

function generatedName(port: number, protocol: string, names: Set<string>): string {
  const base = `p-${port}-${protocol.toLowerCase()}`
  let name = base
  for (let suffix = 2; names.has(name); suffix++) name = `${base}-${suffix}`
  names.add(name)
  return name
}

/** Whether a Service has these ports already; what the API server added of its own (nodePort, appProtocol) is not looked at. */
export function samePorts(current: readonly ServicePort[] | undefined, wanted: readonly ServicePort[]): boolean {
  const found = current ?? []
  return (
    found.length === wanted.length &&
    wanted.every((port, index) => {
      const other = found[index]
      return (
        other?.name === port.name &&
        (other?.protocol ?? 'TCP') === port.protocol &&
        other?.port === port.port &&
        other?.targetPort === port.targetPort
      )
    })
  )
}
