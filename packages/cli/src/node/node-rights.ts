/** What a node of ours may do beside what every node may: objects of the cluster that `join` makes and `leave` takes away. */
import { type Client, isNotFound, resources } from '@caisson/client'

const ROLE = 'caisson:node'
/** Kubernetes' own Role, for who has to verify the cluster's client certificates. */
const AUTHENTICATION_READER = { namespace: 'kube-system', name: 'extension-apiserver-authentication-reader' }

/** For what its network enforces and its snapshots are. None of it is a secret, and none of it writes to others' objects but snapshots. */
const RULES = [
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['networking.k8s.io'], resources: ['servicecidrs'], verbs: ['get', 'list'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['caisson.dev'], resources: ['sandboxsnapshots'], verbs: ['get', 'list', 'watch', 'patch'] },
  { apiGroups: ['caisson.dev'], resources: ['sandboxsnapshots/status'], verbs: ['patch'] },
  // The certificate by which it is known, anew before it ends.
  { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests/selfnodeclient'], verbs: ['create'] },
]

export async function grantNodeRights(client: Client, nodeName: string): Promise<void> {
  const group = 'rbac.authorization.k8s.io'
  const subjects = [{ kind: 'User', name: `system:node:${nodeName}`, apiGroup: group }]
  const metadata = { name: bindingName(nodeName) }
  const force = { force: true }
  await client.apply(resources.clusterRoles, { metadata: { name: ROLE }, rules: RULES }, force)
  await client.apply(
    resources.clusterRoleBindings,
    { metadata, subjects, roleRef: { apiGroup: group, kind: 'ClusterRole', name: ROLE } },
    force,
  )
  const { namespace, name } = AUTHENTICATION_READER
  await client.apply(
    resources.roleBindings,
    { metadata, subjects, roleRef: { apiGroup: group, kind: 'Role', name } },
    { ...force, namespace },
  )
}

export async function revokeNodeRights(client: Client, nodeName: string): Promise<void> {
  const name = bindingName(nodeName)
  const { namespace } = AUTHENTICATION_READER
  await client.delete(resources.clusterRoleBindings, name).catch(unlessMissing)
  await client.delete(resources.roleBindings, name, { namespace }).catch(unlessMissing)
}

function bindingName(nodeName: string): string {
  return `${ROLE}:${nodeName}`
}

export function unlessMissing(error: unknown): undefined {
  if (!isNotFound(error)) throw error
  return undefined
}
