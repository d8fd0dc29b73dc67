/** The variables by which containers find the Services of their namespace, from before there was DNS. */
import type { ServiceObject } from '../pod-sources.ts'

/** The variables of Services that have an address, in no particular order of Services: names and values, the last counts. */
export function* serviceVariables(services: readonly ServiceObject[]): Generator<[name: string, value: string]> {
  for (const { metadata, spec } of services) {
    const host = spec?.clusterIP
    const ports = spec?.ports ?? []
    const [first] = ports
    if (!host || host === 'None' || !first) continue
    const name = variableName(metadata.name ?? '')
    yield [`${name}_SERVICE_HOST`, host]
    yield [`${name}_SERVICE_PORT`, String(first.port)]
    for (const port of ports) {
      if (port.name) yield [`${name}_SERVICE_PORT_${variableName(port.name)}`, String(port.port)]
    }
    for (const port of ports) {
      const protocol = port.protocol ?? 'TCP'
      const url = `${protocol.toLowerCase()}://${host.includes(':') ? `[${host}]` : host}:${port.port}`
      if (port === first) yield [`${name}_PORT`, url]
      const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`
      yield [prefix, url]
      yield [`${prefix}_PROTO`, protocol.toLowerCase()]
      yield [`${prefix}_PORT`, String(port.port)]
      yield [`${prefix}_ADDR`, host]
    }
  }
}

function variableName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase()
}
