/** What the controllers may do on a cluster: what they do, and no more. */
import { AGENTS_GROUP, EXTENSIONS_GROUP } from '@caisson/api'

export interface Rule {
  apiGroups: string[]
  resources: string[]
  verbs: string[]
  resourceNames?: string[]
}

const FOLLOW = ['get', 'list', 'watch']
const KEEP = [...FOLLOW, 'create', 'patch', 'delete']
const CLAIMS = ['sandboxclaims', 'sandboxtemplates', 'sandboxwarmpools']

function statusesOf(group: string, plurals: string[]): Rule {
  return { apiGroups: [group], resources: plurals.map((plural) => `${plural}/status`), verbs: ['patch'] }
}

/** Owners that block deletion ask for `update` of their finalizers where a cluster enforces that. */
function ownersOf(group: string, plurals: string[]): Rule {
  return { apiGroups: [group], resources: plurals.map((plural) => `${plural}/finalizers`), verbs: ['update'] }
}

function kinds(group: string, plurals: string[], verbs: string[]): Rule[] {
  return [{ apiGroups: [group], resources: plurals, verbs }, statusesOf(group, plurals), ownersOf(group, plurals)]
}

/** In every namespace that the controllers work in. */
export const SANDBOX_RULES: readonly Rule[] = [
  { apiGroups: [''], resources: ['pods', 'services'], verbs: KEEP },
  { apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: [...FOLLOW, 'create', 'patch'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ...kinds(AGENTS_GROUP, ['sandboxes'], [...FOLLOW, 'patch', 'delete']),
  ...kinds('caisson.dev', ['sandboxsnapshots'], KEEP),
]

/** Of the whole cluster. A snapshot is gone with its Node. */
export const SANDBOX_CLUSTER_RULES: readonly Rule[] = [{ apiGroups: [''], resources: ['nodes'], verbs: FOLLOW }]

export const EXTENSION_RULES: readonly Rule[] = [
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: KEEP },
  { apiGroups: [AGENTS_GROUP], resources: ['sandboxes'], verbs: ['create'] },
  { apiGroups: [EXTENSIONS_GROUP], resources: CLAIMS, verbs: FOLLOW },
  // Which Sandbox a claim has, and its end.
  { apiGroups: [EXTENSIONS_GROUP], resources: ['sandboxclaims'], verbs: ['patch', 'delete'] },
  // The label by which its NetworkPolicy selects.
  { apiGroups: [EXTENSIONS_GROUP], resources: ['sandboxtemplates'], verbs: ['patch'] },
  statusesOf(EXTENSIONS_GROUP, ['sandboxclaims', 'sandboxwarmpools']),
  ownersOf(EXTENSIONS_GROUP, CLAIMS),
]

/**
 * For templates with `envVarsDelivery: Warm`: what variables of claims refer to, and the Secrets that give them to members of
 * pools. By name, never a list.
 */
export const WARM_ENV_RULES: readonly Rule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'create', 'delete'] },
  { apiGroups: [''], resources: ['configmaps'], verbs: ['get'] },
]

/** NetworkPolicies stay with their namespace when their template goes. */
export const EXTENSION_CLUSTER_RULES: readonly Rule[] = [{ apiGroups: [''], resources: ['namespaces'], verbs: FOLLOW }]

/** The kinds of manuals in Sandbox's own group, and the canonical ones that are made of them. */
export const FLAT_RULES: readonly Rule[] = [
  ...kinds(AGENTS_GROUP, CLAIMS, [...FOLLOW, 'patch', 'delete']),
  { apiGroups: [EXTENSIONS_GROUP], resources: CLAIMS, verbs: ['create', 'patch', 'delete'] },
]

/** Which label domains claims may use. In the controllers' own namespace. */
export const CONFIG_RULES: readonly Rule[] = [
  { apiGroups: [''], resources: ['configmaps'], resourceNames: ['agent-sandbox-config'], verbs: FOLLOW },
]

/** A watch of one Lease is allowed by its name. In the controllers' own namespace. */
export function leaseRules(names: string[]): Rule[] {
  const about = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] }
  return [
    { ...about, verbs: ['create'] },
    { ...about, resourceNames: names, verbs: ['get', 'watch', 'update'] },
  ]
}
