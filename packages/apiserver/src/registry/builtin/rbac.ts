/** Roles and bindings. Whether a user may grant what they grant is the authorizer's question. */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Subdomain, nameIsPathSegment, pathSegment } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'

const GROUP = 'rbac.authorization.k8s.io'

interface Rule {
  verbs?: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

interface Role extends KubeObject {
  rules?: Rule[] | null
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] }
}

interface Subject {
  kind: string
  apiGroup?: string
  name: string
  namespace?: string
}

interface Binding extends KubeObject {
  roleRef: { apiGroup?: string; kind: string; name: string }
  subjects?: Subject[]
}

const shared: Strategy = { nameRule: nameIsPathSegment, generation: false, createOnUpdate: true }

export const roleStrategy: Strategy = roleStrategyFor(true)
export const clusterRoleStrategy: Strategy = roleStrategyFor(false)
export const roleBindingStrategy: Strategy = bindingStrategyFor(true)
export const clusterRoleBindingStrategy: Strategy = bindingStrategyFor(false)

function roleStrategyFor(namespaced: boolean): Strategy {
  return {
    ...shared,
    validate: (object) => validateRole(object as Role, namespaced),
    // kube-apiserver finds each mistake of an updated role twice: as any role's, and as an update's.
    validateUpdate(next) {
      const errors = validateRole(next as Role, namespaced)
      return [...errors, ...errors]
    },
  }
}

function bindingStrategyFor(namespaced: boolean): Strategy {
  return {
    ...shared,
    defaults: (object) => applyBindingDefaults(object as Binding),
    validate: (object) => validateBinding(object as Binding, namespaced),
    validateUpdate(next, current) {
      const found = validateBinding(next as Binding, namespaced)
      const errors = [...found, ...found]
      const { roleRef } = next as Binding
      if (!deepEqual(roleRef, (current as Binding).roleRef)) {
        const printed = { APIGroup: roleRef.apiGroup ?? '', Kind: roleRef.kind, Name: roleRef.name }
        errors.push(invalidValue('roleRef', printed, 'cannot change roleRef'))
      }
      return errors
    },
  }
}

function validateRole(role: Role, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = []
  role.rules?.forEach((rule, index) => validateRule(rule, namespaced, `rules[${index}]`, errors))
  if (!role.aggregationRule) return errors
  const path = 'aggregationRule.clusterRoleSelectors'
  const selectors = role.aggregationRule.clusterRoleSelectors ?? []
  if (!selectors.length) {
    errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'))
  }
  selectors.forEach((selector, index) => {
    const before = errors.length
    validateLabelSelector(selector, `${path}[${index}]`, errors)
    if (errors.length > before) errors.push(invalidValue(`${path}[${index}]`, null, 'invalid label selector.'))
  })
  return errors
}

function validateRule(rule: Rule, namespaced: boolean, path: string, errors: FieldError[]): void {
  if (!rule.verbs?.length) errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'))
  const urls = rule.nonResourceURLs
  if (urls?.length) {
    const at = `${path}.nonResourceURLs`
    if (namespaced) errors.push(invalidValue(at, urls, 'namespaced rules cannot apply to non-resource URLs'))
    if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length) {
      errors.push(invalidValue(at, urls, 'rules cannot apply to both regular resources and non-resource URLs'))
    }
    return
  }
  if (!rule.apiGroups?.length) {
    errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  }
  if (!rule.resources?.length) {
    errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'))
  }
}

function applyBindingDefaults(binding: Binding): void {
  binding.roleRef.apiGroup ||= GROUP
  for (const subject of binding.subjects ?? []) {
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= GROUP
  }
}

function validateBinding(binding: Binding, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = []
  const { apiGroup = '', kind, name } = binding.roleRef
  if (apiGroup !== GROUP) errors.push(notSupported('roleRef.apiGroup', apiGroup, [GROUP]))
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, kinds))
  if (!name) errors.push(required('roleRef.name'))
  else for (const said of pathSegment(name)) errors.push(invalidValue('roleRef.name', name, said))
  binding.subjects?.forEach((subject, index) => validateSubject(subject, namespaced, `subjects[${index}]`, errors))
  return errors
}

function validateSubject(subject: Subject, namespaced: boolean, path: string, errors: FieldError[]): void {
  const { kind, name, namespace, apiGroup = '' } = subject
  if (!name) errors.push(required(`${path}.name`))
  switch (kind) {
    case 'ServiceAccount':
      if (name) for (const said of dns1123Subdomain(name)) errors.push(invalidValue(`${path}.name`, name, said))
      if (apiGroup) errors.push(notSupported(`${path}.apiGroup`, apiGroup, ['']))
      if (!namespaced && !namespace) errors.push(required(`${path}.namespace`))
      return
    case 'User':
    case 'Group':
      if (apiGroup !== GROUP) errors.push(notSupported(`${path}.apiGroup`, apiGroup, [GROUP]))
      return
    default:
      errors.push(notSupported(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group']))
  }
}
