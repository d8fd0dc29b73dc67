/** Pods as policies see them. */
import type { AnyObject, PodObject } from '@caisson/client'
import type { PodAddress } from './network-gate.ts'
import type { PolicyPod, Protocol } from './policy/policy-model.ts'

/** By it every namespace can be selected, also before its object was seen. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

export function policyPod(pod: PodObject, namespace: AnyObject | undefined, address: PodAddress): PolicyPod {
  const { metadata, spec } = pod
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return {
    uid: address.uid,
    ip: address.ip,
    namespace: metadata.namespace ?? '',
    labels: metadata.labels ?? {},
    namespaceLabels: labelsOfNamespace(metadata.namespace ?? '', namespace),
    ports: [...sidecars, ...(spec?.containers ?? [])].flatMap(({ ports = [] }) =>
      ports.map(({ name, protocol = 'TCP', containerPort }) => ({
        name,
        protocol: protocol.toLowerCase() as Protocol,
        port: containerPort,
      })),
    ),
    isolated: address.isolated,
    ownResolvers: spec?.dnsPolicy === 'None' || spec?.dnsPolicy === 'Default',
  }
}

export function labelsOfNamespace(name: string, namespace: AnyObject | undefined): Readonly<Record<string, string>> {
  return { ...namespace?.metadata.labels, [NAME_LABEL]: name }
}
