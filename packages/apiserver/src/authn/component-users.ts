/** The users that the parts of a cluster act as. What each may do is in `authz/bootstrap-roles.ts`. */
import { CONTROLLER_NAME, CONTROLLER_NAMESPACE, type UserInfo } from '@caisson/api'
import { serviceAccountGroups, serviceAccountNamespace, serviceAccountUsername } from './service-account-identity.ts'

const AUTHENTICATED = 'system:authenticated'

/** For components in the process of the API server, which prove nothing: `server.connect(user)`. */
export const componentUsers = {
  /** Scheduler, garbage collector, volume binder and the rest of the control plane. */
  controlPlane: { username: 'system:kube-controller-manager', groups: [AUTHENTICATED] },
  sandboxController: serviceAccountUser(CONTROLLER_NAMESPACE, CONTROLLER_NAME),
  /** The network of one node: it reads what rules are made from. */
  network: { username: 'system:kube-proxy', groups: [AUTHENTICATED] },
  /** The agent of one node: admission lets it write its own Node and Pods alone. */
  node: (name: string): UserInfo => ({
    username: `system:node:${name}`,
    groups: ['system:nodes', AUTHENTICATED],
  }),
} as const satisfies Record<string, UserInfo | ((name: string) => UserInfo)>

/** Namespaces of the cluster's own parts. */
export const OWN_NAMESPACES: ReadonlySet<string> = new Set([
  'kube-system',
  'kube-node-lease',
  'kube-public',
  CONTROLLER_NAMESPACE,
])

/** Whether it is a part of the cluster: the control plane, a node, a ServiceAccount of the cluster's own namespaces. */
export function isComponent({ username }: UserInfo): boolean {
  if (!username.startsWith('system:') || username === 'system:anonymous') return false
  const namespace = serviceAccountNamespace(username)
  return namespace === undefined || OWN_NAMESPACES.has(namespace)
}

function serviceAccountUser(namespace: string, name: string): UserInfo {
  return {
    username: serviceAccountUsername(namespace, name),
    groups: [...serviceAccountGroups(namespace), AUTHENTICATED],
  }
}
