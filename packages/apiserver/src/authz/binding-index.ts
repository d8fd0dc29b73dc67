/** Whom RoleBindings and ClusterRoleBindings name, kept in step with the store. */
import type { KubeObject, UserInfo } from '@caisson/api'
import type { Store, StoreEvent } from '../storage/store.ts'

/** What authorization reads of the store. */
export type AuthorizationSource = Pick<Store, 'get' | 'list' | 'subscribe' | 'revision'>

export interface RoleRef {
  apiGroup?: string
  kind: string
  name: string
}

export interface Subject {
  kind: string
  name: string
  namespace?: string
  apiGroup?: string
}

/** One subject of one binding. */
export interface Grant {
  binding: string
  /** Undefined for a ClusterRoleBinding. */
  namespace: string | undefined
  roleRef: RoleRef
  subject: Subject
}

export const ROLE_RESOURCES = {
  roles: 'roles.rbac.authorization.k8s.io',
  clusterRoles: 'clusterroles.rbac.authorization.k8s.io',
  roleBindings: 'rolebindings.rbac.authorization.k8s.io',
  clusterRoleBindings: 'clusterrolebindings.rbac.authorization.k8s.io',
} as const

export interface BindingIndex extends Disposable {
  /**
   * What a user and its groups are granted: first by ClusterRoleBindings, then by the RoleBindings of the namespace;
   * the user's own before its groups', in the order of their names.
   */
  grantedTo(user: UserInfo, namespace: string | undefined): Iterable<Grant>
}

/** Grants by subject, of one namespace or of the cluster. */
type Scope = Map<string, Grant[]>

const CLUSTER = ''

export function createBindingIndex(source: AuthorizationSource): BindingIndex {
  const scopes = new Map<string, Scope>()
  const since = source.revision
  const follow = (resource: string): Disposable => {
    for (const binding of source.list(resource)) add(scopes, binding)
    const subscription = source.subscribe(resource, since, (event) => apply(scopes, event))
    // The revision was read in this very turn of the event loop: it cannot have been compacted.
    if (!subscription) throw new Error(`cannot follow ${resource} from revision ${since}: it has been compacted`)
    return subscription
  }
  const subscriptions = [follow(ROLE_RESOURCES.clusterRoleBindings), follow(ROLE_RESOURCES.roleBindings)]

  return {
    *grantedTo(user, namespace) {
      const subjects = [`u:${user.username}`, ...user.groups.map((group) => `g:${group}`)]
      for (const scope of [scopes.get(CLUSTER), namespace && scopes.get(namespace)]) {
        if (!scope) continue
        for (const subject of subjects) yield* scope.get(subject) ?? []
      }
    },
    [Symbol.dispose]() {
      for (const subscription of subscriptions) subscription[Symbol.dispose]()
    },
  }
}

function apply(scopes: Map<string, Scope>, { type, object, previous }: StoreEvent): void {
  const gone = type === 'DELETED' ? (previous ?? object) : previous
  if (gone) remove(scopes, gone)
  if (type !== 'DELETED') add(scopes, object)
}

function add(scopes: Map<string, Scope>, binding: KubeObject): void {
  const scopeName = binding.metadata.namespace ?? CLUSTER
  let scope = scopes.get(scopeName)
  if (!scope) scopes.set(scopeName, (scope = new Map()))
  for (const [key, grant] of grantsOf(binding)) {
    const grants = scope.get(key)
    if (!grants) {
      scope.set(key, [grant])
      continue
    }
    // The store lists by name, so that nearly always the new one goes to the end.
    const at =
      (grants.at(-1)?.binding ?? '') <= grant.binding ? -1 : grants.findIndex((one) => one.binding > grant.binding)
    grants.splice(at === -1 ? grants.length : at, 0, grant)
  }
}

function remove(scopes: Map<string, Scope>, binding: KubeObject): void {
  const scopeName = binding.metadata.namespace ?? CLUSTER
  const scope = scopes.get(scopeName)
  if (!scope) return
  for (const [key] of grantsOf(binding)) {
    const rest = (scope.get(key) ?? []).filter((grant) => grant.binding !== binding.metadata.name)
    if (rest.length > 0) scope.set(key, rest)
    else scope.delete(key)
  }
  if (scope.size === 0) scopes.delete(scopeName)
}

/** One grant for each different subject of a binding, under its key. */
function grantsOf(binding: KubeObject): Map<string, Grant> {
  const { name = '', namespace } = binding.metadata
  const roleRef = binding.roleRef as RoleRef
  const grants = new Map<string, Grant>()
  for (const subject of (binding.subjects as Subject[] | undefined | null) ?? []) {
    const key = subjectKey(subject, namespace)
    if (key !== undefined && !grants.has(key)) grants.set(key, { binding: name, namespace, roleRef, subject })
  }
  return grants
}

function subjectKey({ kind, name, namespace }: Subject, bindingNamespace: string | undefined): string | undefined {
  switch (kind) {
    case 'User':
      return `u:${name}`
    case 'Group':
      return `g:${name}`
    case 'ServiceAccount': {
      const home = namespace || bindingNamespace
      return home ? `u:system:serviceaccount:${home}:${name}` : undefined
    }
    default:
      return undefined
  }
}
