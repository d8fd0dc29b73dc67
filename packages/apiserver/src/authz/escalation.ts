/**
 * Nobody may hand out more than they hold: the checks on writing roles and bindings. They read permissions only, and run
 * on the object as it would be stored.
 */
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject, UserInfo } from '@caisson/api'
import { goQuote } from '../registry/field-error.ts'
import { StatusError } from '../status-error.ts'
import { notFound } from '../verbs/errors.ts'
import { forbiddenObject } from './attributes.ts'
import { type Authorizer, joinErrors, SUPERUSERS } from './authorizer.ts'
import type { RoleRef } from './binding-index.ts'
import { countAtoms, MOST_ATOMS, uncovered } from './coverage.ts'
import { describeRule, goQuotedList, type PolicyRule, rulesOf } from './policy-rules.ts'

const GROUP = 'rbac.authorization.k8s.io'

const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

export interface EscalationRequest {
  /** `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`; all others pass. */
  resource: string
  user: UserInfo
  /** As it would be stored. */
  object: KubeObject
  /** What it replaces; undefined on creation. */
  oldObject: KubeObject | undefined
}

/**
 * Throws a 403 where writing the role or binding would give somebody permissions that the writer does not hold and is
 * not allowed to hand out (`escalate` on the role, `bind` on the bound role). For create, update and patch.
 */
export function checkEscalation(authorizer: Authorizer, request: EscalationRequest): void {
  const { resource, user, object, oldObject } = request
  if (user.groups.includes(SUPERUSERS)) return
  switch (resource) {
    case 'roles':
    case 'clusterroles':
      return checkRole(authorizer, request)
    case 'rolebindings':
    case 'clusterrolebindings':
      if (oldObject && changesOnlyOwnership(object, oldObject)) return
      return checkBinding(authorizer, request)
    default:
  }
}

function checkRole(authorizer: Authorizer, request: EscalationRequest): void {
  const { resource, user, object, oldObject } = request
  const { name, namespace } = object.metadata
  const target = { user, group: GROUP, resource, ...(name && { name }), ...(namespace && { namespace }) }
  if (authorizer.authorize({ ...target, verb: 'escalate' }).allowed) return
  if (oldObject && changesOnlyOwnership(object, oldObject)) return
  confirmHeld(authorizer, request, rulesOf(object))
  if (aggregates(object) || (oldObject && aggregates(oldObject))) {
    const { rules } = authorizer.rulesFor(user, namespace)
    if (uncovered(rules, EVERYTHING)?.length !== 0) {
      throw refuse(request, 'must have cluster-admin privileges to use the aggregationRule')
    }
  }
}

function checkBinding(authorizer: Authorizer, request: EscalationRequest): void {
  const { user, object } = request
  const { namespace } = object.metadata
  const roleRef = object.roleRef as RoleRef | undefined
  // Validation comes after this, and has better words for what is missing.
  if (!roleRef?.kind || !roleRef.name) return
  const bind = {
    user,
    verb: 'bind',
    group: roleRef.apiGroup ?? GROUP,
    resource: roleRef.kind === 'Role' ? 'roles' : 'clusterroles',
    name: roleRef.name,
    ...(namespace && { namespace }),
  }
  if (authorizer.authorize(bind).allowed) return
  if (roleRef.kind !== 'ClusterRole' && roleRef.kind !== 'Role') {
    throw new StatusError('Unknown', `unsupported role reference kind: ${goQuote(roleRef.kind)}`)
  }
  const rules = authorizer.rulesOfRole(roleRef, namespace)
  if (!rules) {
    // kube-apiserver names the kind of the binding here, not of the role.
    throw notFound({ group: GROUP, plural: request.resource }, roleRef.name)
  }
  confirmHeld(authorizer, request, rules)
}

function confirmHeld(authorizer: Authorizer, request: EscalationRequest, asked: readonly PolicyRule[]): void {
  const { user, object } = request
  const atoms = countAtoms(asked)
  if (atoms > MOST_ATOMS) {
    throw refuse(request, `its rules stand for ${atoms} permissions, more than the ${MOST_ATOMS} that can be checked`)
  }
  const held = authorizer.rulesFor(user, object.metadata.namespace)
  const missing = uncovered(held.rules, asked)
  if (!missing) {
    throw refuse(request, `its rules stand for ${atoms} permissions, which are too many to be compared with those held`)
  }
  if (missing.length === 0) return
  const described = describe(missing)
  const who = `user ${goQuote(user.username)} (groups=${goQuotedList(user.groups)})`
  const unresolved = held.errors.length === 0 ? '' : `; resolution errors: [${joinErrors(held.errors)}]`
  throw refuse(request, `${who} is attempting to grant RBAC permissions not currently held:\n${described}${unresolved}`)
}

/** Characters of the rules that are told; each may be as long as a body, and there may be ten thousand of them. */
const MOST_TOLD = 64 << 10

function describe(rules: readonly PolicyRule[]): string {
  const described = new Set<string>()
  let length = 0
  for (const rule of rules) {
    if (length > MOST_TOLD) break
    const text = describeRule(rule)
    described.add(text)
    length += text.length
  }
  return [...described].sort().join('\n')
}

function refuse({ resource, object }: EscalationRequest, sentence: string): StatusError {
  return forbiddenObject({ group: GROUP, resource, name: object.metadata.name }, sentence)
}

function aggregates(role: KubeObject): boolean {
  const rule = role.aggregationRule as { clusterRoleSelectors?: unknown[] } | undefined
  return (rule?.clusterRoleSelectors?.length ?? 0) > 0
}

/** Garbage collection has to be able to finish off objects whose permissions it does not hold. */
function changesOnlyOwnership(object: KubeObject, oldObject: KubeObject): boolean {
  return isDeepStrictEqual(withoutOwnership(object), withoutOwnership(oldObject))
}

function withoutOwnership(object: KubeObject): unknown {
  const { ownerReferences: _owners, finalizers: _finalizers, managedFields: _fields, ...metadata } = object.metadata
  // Both are set by the server on the way into the store.
  const { resourceVersion: _version, generation: _generation, ...rest } = metadata
  return { ...object, metadata: rest }
}
