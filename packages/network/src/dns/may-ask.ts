import { allowsDirection } from '../policy/allows.ts'
import type { Policy, PolicyPod } from '../policy/policy-model.ts'

export type MayAsk = 'everything' | 'cluster' | 'nothing'

/**
 * What a Pod may ask the cluster's name server. Everything where its egress lets it speak to that server, which policies
 * know by the labels that it has everywhere. Otherwise nothing is passed on, since a query can carry data; and of the
 * cluster's own names, which tell what runs in it, a Pod is told only where that server is the one that it was given.
 * `policies` are those of its namespace.
 */
export function mayAsk(pod: PolicyPod, options: { policies: readonly Policy[]; address: string }): MayAsk {
  if (reachesServer(pod, options)) return 'everything'
  return pod.ownResolvers ? 'nothing' : 'cluster'
}

function reachesServer(
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
