/** The kinds by which a client asks what it, or somebody else, may do: from request object to answer. */
import type { KubeObject, UserInfo } from '@caisson/api'
import { invalidValue } from '../registry/field-error.ts'
import { type FieldError, invalid, StatusError } from '../status-error.ts'
import type { Attributes } from './attributes.ts'
import { type Authorizer, joinErrors } from './authorizer.ts'

const GROUP = 'authorization.k8s.io'

interface FieldSelectorAttributes {
  rawSelector?: string
  requirements?: { key?: string; operator?: string; values?: string[] }[]
}

interface ReviewSpec {
  user?: string
  groups?: string[]
  uid?: string
  extra?: Record<string, string[]>
  resourceAttributes?: Partial<
    Record<'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'namespace' | 'name', string> & {
      fieldSelector: FieldSelectorAttributes
    }
  >
  nonResourceAttributes?: { verb?: string; path?: string }
}

/** SubjectAccessReview: what a named user or group may do. */
export function reviewSubjectAccess(authorizer: Authorizer, review: KubeObject): KubeObject {
  const spec = specOf(review)
  refuseInvalid([...validateSubject(spec), ...validateAttributes(spec), ...validateEmpty(review)])
  return decide(authorizer, review, subjectOf(spec))
}

/** SelfSubjectAccessReview: what the one who asks may do (`kubectl auth can-i`). */
export function reviewOwnAccess(authorizer: Authorizer, review: KubeObject, user: UserInfo): KubeObject {
  refuseInvalid([...validateAttributes(specOf(review)), ...validateEmpty(review)])
  return decide(authorizer, review, user)
}

/** LocalSubjectAccessReview: a SubjectAccessReview within the namespace of the request. */
export function reviewLocalSubjectAccess(authorizer: Authorizer, review: KubeObject, namespace: string): KubeObject {
  const spec = specOf(review)
  const named = review.metadata.namespace ?? ''
  const errors: FieldError[] = [...validateSubject(spec), ...validateAttributes(spec)]
  errors.push(...validateEmpty(review, { allowNamespace: true }))
  const asked = spec.resourceAttributes?.namespace ?? ''
  if (spec.resourceAttributes && asked !== named) {
    errors.push(invalidValue('spec.resourceAttributes.namespace', asked, 'must match metadata.namespace'))
  }
  if (spec.nonResourceAttributes) {
    errors.push(
      invalidValue(
        'spec.nonResourceAttributes',
        asInGo(spec.nonResourceAttributes),
        'disallowed on this kind of request',
      ),
    )
  }
  refuseInvalid(errors)
  if (namespace !== named) {
    throw new StatusError('BadRequest', `spec.resourceAttributes.namespace must match namespace: ${namespace}`)
  }
  return decide(authorizer, review, subjectOf(spec))
}

/** SelfSubjectRulesReview: all that the one who asks may do in a namespace (`kubectl auth can-i --list`). */
export function reviewOwnRules(authorizer: Authorizer, review: KubeObject, user: UserInfo): KubeObject {
  const { namespace } = (review.spec as { namespace?: string } | undefined) ?? {}
  if (!namespace) throw new StatusError('BadRequest', 'no namespace on request')
  const { rules, errors, incomplete } = authorizer.rulesFor(user, namespace)
  return {
    ...review,
    metadata: {},
    spec: {},
    status: {
      resourceRules: rules
        .filter(({ resources }) => resources?.length)
        .map(({ verbs, apiGroups, resources, resourceNames }) => ({
          verbs,
          ...(apiGroups?.length && { apiGroups }),
          resources,
          ...(resourceNames?.length && { resourceNames }),
        })),
      nonResourceRules: rules
        .filter(({ nonResourceURLs }) => nonResourceURLs?.length)
        .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete,
      ...(errors.length > 0 && { evaluationError: joinErrors(errors) }),
    },
  }
}

function specOf(review: KubeObject): ReviewSpec {
  return (review.spec as ReviewSpec | undefined) ?? {}
}

function subjectOf({ user = '', groups = [], uid, extra }: ReviewSpec): UserInfo {
  return { username: user, groups, ...(uid && { uid }), ...(extra && { extra }) }
}

function decide(authorizer: Authorizer, review: KubeObject, user: UserInfo): KubeObject {
  const { allowed, reason } = authorizer.authorize(attributesOf(specOf(review), user))
  return { ...review, status: { allowed, ...(reason !== '' && { reason }) } }
}

function attributesOf({ resourceAttributes, nonResourceAttributes }: ReviewSpec, user: UserInfo): Attributes {
  if (!resourceAttributes) {
    return { user, verb: nonResourceAttributes?.verb ?? '', path: nonResourceAttributes?.path ?? '' }
  }
  const { verb = '', group = '', resource = '', subresource, namespace, name } = resourceAttributes
  const fieldSelector = selectorText(resourceAttributes.fieldSelector)
  return {
    user,
    verb,
    group,
    resource,
    ...(subresource && { subresource }),
    ...(namespace && { namespace }),
    ...(name && { name }),
    ...(fieldSelector && { fieldSelector }),
  }
}

/** As a request would send it. What no request could say narrows nothing. */
function selectorText({ rawSelector, requirements = [] }: FieldSelectorAttributes = {}): string {
  if (rawSelector) return rawSelector
  return requirements
    .flatMap(({ key, operator, values: [value, ...more] = [] }) =>
      key && value !== undefined && more.length === 0 && (operator === 'In' || operator === 'NotIn')
        ? [`${key}${operator === 'In' ? '=' : '!='}${value.replaceAll(/[\\,=]/g, '\\$&')}`]
        : [],
    )
    .join(',')
}

function validateAttributes({ resourceAttributes, nonResourceAttributes }: ReviewSpec): FieldError[] {
  if (resourceAttributes && nonResourceAttributes) {
    const why = 'cannot be specified in combination with resourceAttributes'
    return [invalidValue('spec.nonResourceAttributes', asInGo(nonResourceAttributes), why)]
  }
  if (!resourceAttributes && !nonResourceAttributes) {
    const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified'
    return [invalidValue('spec.resourceAttributes', null, why)]
  }
  return []
}

function validateSubject({ user = '', groups = [] }: ReviewSpec): FieldError[] {
  if (user !== '' || groups.length > 0) return []
  return [invalidValue('spec.user', user, 'at least one of user or group must be specified')]
}

function validateEmpty(review: KubeObject, { allowNamespace = false } = {}): FieldError[] {
  const { managedFields: _fields, namespace, ...rest } = review.metadata ?? {}
  const set = Object.values(rest).some((value) => value !== undefined && value !== null && value !== '')
  if (!set && (allowNamespace || !namespace)) return []
  return [
    invalidValue('metadata', review.metadata, allowNamespace ? 'must be empty except for namespace' : 'must be empty'),
  ]
}

/** Kubernetes prints its internal type, which has no names for JSON. */
function asInGo({ path = '', verb = '' }: NonNullable<ReviewSpec['nonResourceAttributes']>) {
  return { Path: path, Verb: verb }
}

function refuseInvalid(errors: readonly FieldError[]): void {
  if (errors.length === 0) return
  // kube-apiserver has no kind at hand here, and says so: `.authorization.k8s.io "" is invalid`.
  const { message, details } = invalid({ group: GROUP, kind: '' }, '', errors)
  const { causes = [] } = details ?? {}
  throw new StatusError('Invalid', message, { details: { group: GROUP, causes } })
}
