import type { PodTemplate } from '@caisson/api'
import { say } from './terminal-text.ts'

/** The Pod of a copy is as its source's, but for ports of this machine, of which there is one: says that it has none. */
export function templateOfCopy(template: PodTemplate, sourceName: string): PodTemplate {
  const published = template.spec.containers.flatMap(({ ports = [] }) => ports.filter(({ hostPort }) => hostPort))
  const [port] = published
  if (!port) return template
  say(
    `ports that ${sourceName} publishes lead to no copy of it: 'caisson port-forward NAME ${port.hostPort}:${port.containerPort}' does`,
  )
  const containers = template.spec.containers.map(({ ports, ...container }) => ({
    ...container,
    ...(ports && { ports: ports.map(({ hostPort: _hostPort, hostIP: _hostIP, ...rest }) => rest) }),
  }))
  return { ...template, spec: { ...template.spec, containers } }
}
