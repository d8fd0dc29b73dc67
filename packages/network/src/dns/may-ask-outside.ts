import { allowsDirection } from '../policy/allows.ts'
import type { Policy, PolicyPod } from '../policy/policy-model.ts'

/**
 * Whether a Pod's queries for names outside of the cluster are passed on: where its egress lets it speak to the cluster's
 * name server, which policies know by the labels that it has everywhere. A query can carry data, so that a Pod whose
 * egress is closed must not have any passed on.
 */
export function mayAskOutside(
  pod: PolicyPod,
  { policies, address }: { policies: readonly Policy[]; address: string },
): boolean {
  const server: PolicyPod = {
    uid: 'kube-dns',
    ip: address,
    namespace: 'kube-system',
    labels: { 'k8s-app': 'kube-dns' },
    namespaceLabels: { 'kubernetes.io/metadata.name': 'kube-system' },
    ports: [
      { name: 'dns', protocol: 'udp', port: 53 },
      { name: 'dns-tcp', protocol: 'tcp', port: 53 },
    ],
    isolated: false,
  }
  return (['udp', 'tcp'] as const).some((protocol) =>
    allowsDirection({ from: pod, to: server, protocol, port: 53 }, policies, 'egress'),
  )
}
