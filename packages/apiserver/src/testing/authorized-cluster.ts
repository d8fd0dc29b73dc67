/** A store with the bootstrap policy in it, and an authorizer over it, for tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject, UserInfo } from '@caisson/api'
import type { Attributes } from '../authz/attributes.ts'
import { type Authorizer, createAuthorizer } from '../authz/authorizer.ts'
import { ROLE_RESOURCES, type RoleRef, type Subject } from '../authz/binding-index.ts'
import { ensureBootstrapPolicy } from '../authz/bootstrap-policy.ts'
import type { PolicyRule } from '../authz/policy-rules.ts'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'

export interface AuthorizedCluster extends AsyncDisposable {
  store: Store
  authorizer: Authorizer
  /** Writes roles and bindings. */
  put(...objects: KubeObject[]): Promise<void>
  remove(...objects: KubeObject[]): Promise<void>
}

export async function startAuthorizedCluster(): Promise<AuthorizedCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'authorizer-'))
  const store = openStore({ directory })
  const authorizer = createAuthorizer(store)
  await ensureBootstrapPolicy(store, { now: () => 0 })
  return {
    store,
    authorizer,
    put: (...objects) =>
      store.write((transaction) => {
        for (const object of objects) transaction.put(resourceOf(object), structuredClone(object))
      }),
    remove: (...objects) =>
      store.write((transaction) => {
        for (const object of objects) transaction.delete(resourceOf(object), object)
      }),
    async [Symbol.asyncDispose]() {
      authorizer[Symbol.dispose]()
      await store[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}

export function resourceOf({ kind }: KubeObject): string {
  const byKind: Record<string, string> = {
    Role: ROLE_RESOURCES.roles,
    ClusterRole: ROLE_RESOURCES.clusterRoles,
    RoleBinding: ROLE_RESOURCES.roleBindings,
    ClusterRoleBinding: ROLE_RESOURCES.clusterRoleBindings,
  }
  return byKind[kind] ?? ''
}

export function role(name: string, rules: PolicyRule[], namespace?: string): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: namespace ? 'Role' : 'ClusterRole',
    metadata: { name, ...(namespace && { namespace }) },
    rules,
  }
}

export function binding(
  name: string,
  roleRef: Omit<RoleRef, 'apiGroup'>,
  subjects: Subject[],
  namespace?: string,
): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: namespace ? 'RoleBinding' : 'ClusterRoleBinding',
    metadata: { name, ...(namespace && { namespace }) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', ...roleRef },
    subjects,
  }
}

export function user(username: string, ...groups: string[]): UserInfo {
  return { username, groups }
}

/** `get pods/log.group in a named x`, or `get /path`. */
export function attributes(who: UserInfo, text: string): Attributes {
  const match = /^(\S+) (\/\S*)$/.exec(text)
  if (match) return { user: who, verb: match[1] ?? '', path: match[2] ?? '' }
  const [, verb = '', resource = '', subresource, group = '', namespace, name] =
    /^(\S+) ([^\s./]+)(?:\/([^\s.]+))?(?:\.(\S+))?(?: in (\S+))?(?: named (\S+))?$/.exec(text) ?? []
  return {
    user: who,
    verb,
    group,
    resource,
    ...(subresource && { subresource }),
    ...(namespace && { namespace }),
    ...(name && { name }),
  }
}
