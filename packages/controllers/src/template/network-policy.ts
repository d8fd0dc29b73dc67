/** The one NetworkPolicy that all Pods of a template share: who may connect to them, and what they may connect to. */
import { LABELS, nameHash, type SandboxTemplate } from '@caisson/api'
import { resources, type Typed } from '@caisson/client'
import type { NetworkPolicyPort, NetworkPolicySpec, NetworkPolicy as Policy } from 'kubernetes-types/networking/v1.d.ts'

export type NetworkPolicy = Typed<Policy>
export const NETWORK_POLICIES = resources.networkPolicies

/** Only who works for the router may connect. Both names are agent-sandbox's, which fixes them as well. */
const ROUTER = {
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'agent-sandbox-system' } },
  podSelector: { matchLabels: { app: 'sandbox-router' } },
}

/**
 * Everything but what is private or local to a link, where metadata services are. The DNS of the cluster is private too,
 * on purpose: it would tell the names of everything that runs.
 */
const INTERNET = [
  { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'] } },
  { ipBlock: { cidr: '::/0', except: ['fc00::/7', 'fe80::/10'] } },
]

export function networkPolicyName(template: Pick<SandboxTemplate, 'metadata'>): string {
  return `${template.metadata.name}-network-policy`
}

export function isManaged(template: SandboxTemplate): boolean {
  return template.spec.networkPolicyManagement !== 'Unmanaged'
}

/** As a server stores it: with the defaults of its fields. */
export function networkPolicySpec(template: SandboxTemplate): NetworkPolicySpec {
  const { ingress, egress } = template.spec.networkPolicy ?? {
    ingress: [{ from: [ROUTER] }],
    egress: [{ to: INTERNET }],
  }
  return {
    podSelector: { matchLabels: { [LABELS.templateRefHash]: nameHash(template.metadata.name ?? '') } },
    policyTypes: ['Ingress', 'Egress'],
    ...(ingress?.length && { ingress: ingress.map(withProtocols) }),
    ...(egress?.length && { egress: egress.map(withProtocols) }),
  }
}

function withProtocols<T extends { ports?: NetworkPolicyPort[] }>(rule: T): T {
  return rule.ports ? { ...rule, ports: rule.ports.map((port) => ({ protocol: 'TCP', ...port })) } : rule
}
