/** Ports of a node that Pods ask for: two may not have the same one. */
import type { Container, PodSpec } from 'kubernetes-types/core/v1.d.ts'

export interface HostPort {
  ip: string
  protocol: string
  port: number
}

const ANY = '0.0.0.0'

/** Those of containers that run beside each other: init containers that end have ended by then. */
export function hostPortsOf({ spec }: { spec?: PodSpec }): HostPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(
    (container) => (container as { restartPolicy?: string }).restartPolicy === 'Always',
  )
  return [...(spec?.containers ?? []), ...sidecars].flatMap(({ ports = [] }: Container) =>
    ports.flatMap(({ hostPort, hostIP, protocol = 'TCP' }) =>
      hostPort ? [{ ip: hostIP || ANY, protocol, port: hostPort }] : [],
    ),
  )
}

export function hostPortsConflict(a: HostPort, b: HostPort): boolean {
  return a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY || b.ip === ANY)
}
