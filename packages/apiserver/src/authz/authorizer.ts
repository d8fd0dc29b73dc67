/**
 * Role-based access control over the objects in the store, and before it what nodes may do by what runs on them.
 *
 * Bindings are indexed by whom they name, so a decision looks only at those of the user and of its groups: a few
 * microseconds beside thousands of others. The index follows the store's events; roles are read at decision time.
 */
import type { KubeObject, UserInfo } from '@caisson/api'
import { goQuote } from '../registry/field-error.ts'
import type { Store } from '../storage/store.ts'
import type { Attributes, Decision } from './attributes.ts'
import {
  type AuthorizationSource,
  createBindingIndex,
  type Grant,
  ROLE_RESOURCES,
  type RoleRef,
} from './binding-index.ts'
import { CLUSTER_ROLES } from './bootstrap-roles.ts'
import { createNodeAuthorizer, nodeOf } from './node-authorizer.ts'
import { type PolicyRule, ruleAllows, rulesOf } from './policy-rules.ts'

export interface UserRules {
  rules: PolicyRule[]
  errors: string[]
  /** The user may do more, which no rule says. */
  incomplete: boolean
}

export interface Authorizer extends Disposable {
  /** Decides one request; synchronous, and never throws. */
  authorize(attributes: Attributes): Decision
  /** All rules that a user has in a namespace (the cluster's own included), and what could not be resolved. */
  rulesFor(user: UserInfo, namespace: string | undefined): UserRules
  /** The rules of a binding's role; undefined where the role does not exist. */
  rulesOfRole(roleRef: RoleRef, namespace: string | undefined): readonly PolicyRule[] | undefined
}

/** The group whose members may do everything; what the API server's own loopback acts as. */
export const SUPERUSERS = 'system:masters'

/** Of JSON, of the roles of one user: a hundred thousand rules. Each decision looks at them, and a review shows them all. */
const MOST_RULE_CHARACTERS = 8 << 20

const sizes = new WeakMap<KubeObject, number>()

function sizeOf(role: KubeObject): number {
  let size = sizes.get(role)
  if (size === undefined) sizes.set(role, (size = JSON.stringify(rulesOf(role)).length))
  return size
}

const NODE_RULES = 'node authorizer does not support user rule resolution'

/** Creates the authorizer over a store. Dispose of it to end its subscriptions. */
export function createAuthorizer(source: AuthorizationSource): Authorizer {
  const index = createBindingIndex(source)
  const nodes = createNodeAuthorizer(source, CLUSTER_ROLES['system:node'] ?? [])

  function rulesOfRole(roleRef: RoleRef, namespace: string | undefined): readonly PolicyRule[] | undefined {
    const role = findRole(source, roleRef, namespace)
    return role && rulesOf(role)
  }

  /** Each role once, whatever the bindings to it, with the first of its grants. */
  function* rolesOf(
    user: UserInfo,
    namespace: string | undefined,
    errors: Set<string>,
  ): Generator<{ grant: Grant; rules: readonly PolicyRule[] }> {
    const seen = new Set<KubeObject>()
    let size = 0
    for (const grant of index.grantedTo(user, namespace)) {
      const role = findRole(source, grant.roleRef, grant.namespace)
      if (!role) errors.add(missingRole(grant.roleRef, grant.namespace))
      if (!role || seen.has(role)) continue
      seen.add(role)
      size += sizeOf(role)
      if (size > MOST_RULE_CHARACTERS) {
        errors.add(`only the first ${MOST_RULE_CHARACTERS} bytes of the rules of a user are looked at`)
        return
      }
      yield { grant, rules: rulesOf(role) }
    }
  }

  return {
    authorize(attributes) {
      const { user } = attributes
      if (user.groups.includes(SUPERUSERS)) return { allowed: true, reason: '' }
      const ofNode = nodes.authorize(attributes)
      if (ofNode?.allowed) return ofNode
      const errors = new Set<string>()
      const namespace = 'path' in attributes ? undefined : attributes.namespace || undefined
      for (const { grant, rules } of rolesOf(user, namespace, errors)) {
        if (rules.some((rule) => ruleAllows(rule, attributes))) {
          return { allowed: true, reason: `RBAC: allowed by ${describeGrant(grant)}` }
        }
      }
      const reasons = [ofNode?.reason ?? '', errors.size === 0 ? '' : `RBAC: ${joinErrors([...errors])}`]
      return { allowed: false, reason: reasons.filter((reason) => reason !== '').join('\n') }
    },

    rulesFor(user, namespace) {
      const rules: PolicyRule[] = []
      const errors = new Set<string>()
      for (const role of rolesOf(user, namespace || undefined, errors)) for (const rule of role.rules) rules.push(rule)
      if (nodeOf(user) === undefined) return { rules, errors: [...errors], incomplete: false }
      return { rules, errors: [NODE_RULES, ...errors], incomplete: true }
    },

    rulesOfRole,
    [Symbol.dispose]() {
      index[Symbol.dispose]()
      nodes[Symbol.dispose]()
    },
  }
}

function findRole(source: Pick<Store, 'get'>, roleRef: RoleRef, namespace: string | undefined): KubeObject | undefined {
  if (roleRef.kind === 'ClusterRole') return source.get(ROLE_RESOURCES.clusterRoles, undefined, roleRef.name)
  // A ClusterRoleBinding cannot name a Role: validation refuses it, and here it grants nothing.
  if (roleRef.kind === 'Role' && namespace) return source.get(ROLE_RESOURCES.roles, namespace, roleRef.name)
  return undefined
}

function missingRole({ kind, name }: RoleRef, namespace: string | undefined): string {
  if (kind === 'ClusterRole') return `clusterrole.rbac.authorization.k8s.io ${goQuote(name)} not found`
  if (kind === 'Role' && namespace) return `role.rbac.authorization.k8s.io ${goQuote(name)} not found`
  return `unsupported role reference kind: ${goQuote(kind)}`
}

function describeGrant({ binding, namespace, roleRef, subject }: Grant): string {
  const by = namespace ? `RoleBinding ${goQuote(`${binding}/${namespace}`)}` : `ClusterRoleBinding ${goQuote(binding)}`
  const whom =
    subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || (namespace ?? '')}` : subject.name
  return `${by} of ${roleRef.kind} ${goQuote(roleRef.name)} to ${subject.kind} ${goQuote(whom)}`
}

/** Several errors as Go's aggregate prints them. */
export function joinErrors(errors: readonly string[]): string {
  return errors.length === 1 ? (errors[0] ?? '') : `[${errors.join(', ')}]`
}
