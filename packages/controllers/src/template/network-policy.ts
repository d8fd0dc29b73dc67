/** The one NetworkPolicy that all Pods of a template share: who may connect to them, and what they may connect to. */
import {
  CONTROLLER_NAMESPACE,
  controllerOf,
  EXTENSIONS_GROUP,
  LABELS,
  nameHash,
  type OwnerReference,
  ownershipOf,
  referenceGroup,
  type SandboxTemplate,
} from '@caisson/api'
import { resources, sandboxTemplates, type Typed } from '@caisson/client'
import type { NetworkPolicyPort, NetworkPolicySpec, NetworkPolicy as Policy } from 'kubernetes-types/networking/v1.d.ts'

export type NetworkPolicy = Typed<Policy>
export const NETWORK_POLICIES = resources.networkPolicies

/** Only who works for the router may connect. Both names are agent-sandbox's, which fixes them as well. */
const ROUTER = {
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': CONTROLLER_NAMESPACE } },
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

/** What has a NetworkPolicy stay, whatever becomes of its template: its namespace owns it as well. */
export function namespaceReference({ name, uid }: Pick<OwnerReference, 'name' | 'uid'>): OwnerReference {
  return { apiVersion: 'v1', kind: 'Namespace', name, uid }
}

function staysWithNamespace({ metadata }: NetworkPolicy): boolean {
  return (metadata.ownerReferences ?? []).some(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'Namespace')
}

/** Left over from an earlier template of that name, for Sandboxes that were made from it: no stranger's. */
export function isLeftBy(policy: NetworkPolicy, { name, uid }: { name: string; uid?: string }): boolean {
  if (!staysWithNamespace(policy)) return false
  if (policy.spec?.podSelector?.matchLabels?.[LABELS.templateRefHash] !== nameHash(name)) return false
  const controller = controllerOf(policy)
  if (!controller) return true
  const ofTemplate = controller.kind === sandboxTemplates.kind && referenceGroup(controller) === EXTENSIONS_GROUP
  return ofTemplate && controller.name === name && controller.uid !== uid
}

/**
 * Whether Sandboxes of the template may start: not before the policy that keeps them apart is there. Where something else
 * has its name they never may, since that may allow anything.
 */
export function policyState(
  template: SandboxTemplate,
  policy: NetworkPolicy | undefined,
): 'enforced' | 'missing' | 'foreign' {
  if (!isManaged(template)) return 'enforced'
  if (!policy) return 'missing'
  if (ownershipOf(policy, template) === 'owned') return 'enforced'
  const { name = '', uid = '' } = template.metadata
  // It is the template's in a moment.
  return isLeftBy(policy, { name, uid }) ? 'missing' : 'foreign'
}

export function networkPolicyName(template: Pick<SandboxTemplate, 'metadata'>): string {
  return `${template.metadata.name}-network-policy`
}

/** The name of the template that a NetworkPolicy of that name is of; undefined where it can be of none. */
export function templateNameOf({ metadata }: Pick<NetworkPolicy, 'metadata'>): string | undefined {
  return /^(.+)-network-policy$/.exec(metadata.name ?? '')?.[1]
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
