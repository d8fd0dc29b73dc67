/** Pods as policies see them. */
import type { AnyObject, PodObject } from '@caisson/client'
import type { PodAddress } from './network-gate.ts'
import { NAMESPACE_NAME, type NamedPort, type PolicyPod, type Protocol } from './policy/policy-model.ts'

/** Of one Pod: each is an element of the kernel's for every rule that names it. */
const MOST_NAMED_PORTS = 16

export function policyPod(pod: PodObject, namespace: AnyObject | undefined, address: PodAddress): PolicyPod {
  const { metadata, spec } = pod
  return {
    uid: address.uid,
    ip: address.ip,
    namespace: metadata.namespace ?? '',
    labels: metadata.labels ?? {},
    namespaceLabels: labelsOfNamespace(metadata.namespace ?? '', namespace),
    ports: namedPorts(pod),
    isolated: address.isolated,
    ownResolvers: spec?.dnsPolicy === 'None' || spec?.dnsPolicy === 'Default',
  }
}

/** The first of them, each once. */
function namedPorts({ spec }: PodObject): NamedPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  const named = new Map<string, NamedPort>()
  for (const { ports = [] } of [...sidecars, ...(spec?.containers ?? [])]) {
    for (const { name, protocol = 'TCP', containerPort: port } of ports) {
      if (named.size === MOST_NAMED_PORTS) return [...named.values()]
      if (name) named.set(`${name} ${protocol} ${port}`, { name, protocol: protocol.toLowerCase() as Protocol, port })
    }
  }
  return [...named.values()]
}

export function labelsOfNamespace(name: string, namespace: AnyObject | undefined): Readonly<Record<string, string>> {
  return { ...namespace?.metadata.labels, [NAMESPACE_NAME]: name }
}
