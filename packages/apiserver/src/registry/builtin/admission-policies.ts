/** ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding. */
import {
  type MatchResources,
  type Policy,
  type PolicyBinding,
  type PolicySpec,
  policyVariables,
  type Validation,
  withVariables,
} from '../../admission/policies/policy.ts'
import type { Type } from '../../schema/cel/types.ts'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1035Label, dns1123Subdomain, pathSegment, qualifiedName } from '../names.ts'
import { validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import {
  FAILURE_POLICIES,
  MATCH_POLICIES,
  validateConditions,
  validateExpression,
  validateRule,
} from './admission-rules.ts'

const MOST_AUDIT_ANNOTATIONS = 20
const LONGEST_AUDIT_EXPRESSION = 5 * 1024
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge']
const ACTIONS = ['Audit', 'Deny', 'Warn']
const CEL_RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)

export const policyStrategy: Strategy = {
  unconditionalUpdate: false,
  defaults(object) {
    const spec = (object as Policy).spec as PolicySpec | undefined
    if (!spec) return
    spec.failurePolicy ??= 'Fail'
    if (spec.matchConstraints) setMatchDefaults(spec.matchConstraints)
  },
  prepareForCreate(object) {
    object.status = {}
  },
  prepareForUpdate(next, current) {
    next.status = current.status ?? {}
  },
  validate: (object) => validatePolicy(object as Policy),
  validateUpdate: (next) => validatePolicy(next as Policy),
}

export const policyBindingStrategy: Strategy = {
  unconditionalUpdate: false,
  defaults(object) {
    const { spec } = object as PolicyBinding
    if (spec?.matchResources) setMatchDefaults(spec.matchResources)
  },
  validate: (object) => validateBinding(object as PolicyBinding),
  validateUpdate: (next) => validateBinding(next as PolicyBinding),
}

function setMatchDefaults(resources: MatchResources): void {
  resources.matchPolicy ??= 'Equivalent'
  resources.namespaceSelector ??= {}
  resources.objectSelector ??= {}
  for (const rule of [...(resources.resourceRules ?? []), ...(resources.excludeResourceRules ?? [])]) rule.scope ??= '*'
}

function validatePolicy({ metadata, spec }: Policy): FieldError[] {
  const errors: FieldError[] = []
  const { failurePolicy, paramKind, matchConstraints } = spec
  if (failurePolicy === undefined) errors.push(required('spec.failurePolicy'))
  else if (!FAILURE_POLICIES.includes(failurePolicy))
    errors.push(notSupported('spec.failurePolicy', failurePolicy, FAILURE_POLICIES))
  if (paramKind) validateParamKind(paramKind, errors)
  if (!matchConstraints) errors.push(required('spec.matchConstraints'))
  else {
    validateMatchResources(matchConstraints, 'spec.matchConstraints', errors)
    if (!matchConstraints.resourceRules?.length) errors.push(required('spec.matchConstraints.resourceRules'))
  }
  const base = policyVariables(spec)
  validateConditions(spec.matchConditions ?? [], base, 'spec.matchConditions', errors)
  const scope = validateVariables(spec, base, errors)
  if (!spec.validations?.length && !spec.auditAnnotations?.length) {
    const said = 'validations or auditAnnotations must contain at least one item'
    errors.push(required('spec.validations', said), required('spec.auditAnnotations', said))
    return errors
  }
  spec.validations?.forEach((each, index) => validateValidation(each, scope, `spec.validations[${index}]`, errors))
  validateAudits(metadata.name ?? '', spec, scope, errors)
  return errors
}

function validateParamKind({ apiVersion, kind }: NonNullable<PolicySpec['paramKind']>, errors: FieldError[]): void {
  const path = 'spec.paramKind'
  const parts = (apiVersion ?? '').split('/')
  if (!apiVersion) errors.push(required(`${path}.apiVersion`))
  else if (parts.length > 2)
    errors.push(invalidValue(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  else {
    const [group = '', version = ''] = parts.length === 1 ? ['', parts[0]] : parts
    if (group !== '') {
      const said = dns1123Subdomain(group)
      if (said.length > 0) errors.push(invalidValue(`${path}.apiVersion`, group, said.join(',')))
    }
    const said = version === '' ? [] : dns1035Label(version)
    if (version === '') errors.push(invalidValue(`${path}.apiVersion`, apiVersion, 'version must be specified'))
    else if (said.length > 0) errors.push(invalidValue(`${path}.apiVersion`, version, said.join(',')))
  }
  if (!kind) errors.push(required(`${path}.kind`))
  else {
    const said = dns1035Label(kind.toLowerCase())
    if (said.length > 0) {
      const wanted = `may have mixed case, but should otherwise match: ${said.join(',')}`
      errors.push(invalidValue(`${path}.kind`, kind, wanted))
    }
  }
}

function validateMatchResources(resources: MatchResources, path: string, errors: FieldError[]): void {
  const { matchPolicy, resourceRules, excludeResourceRules } = resources
  if (matchPolicy !== undefined && !MATCH_POLICIES.includes(matchPolicy))
    errors.push(notSupported(`${path}.matchPolicy`, matchPolicy, MATCH_POLICIES))
  for (const field of ['namespaceSelector', 'objectSelector'] as const)
    validateLabelSelector(resources[field] as never, `${path}.${field}`, errors)
  for (const [field, rules] of Object.entries({ resourceRules, excludeResourceRules })) {
    rules?.forEach((rule, index) => {
      const at = `${path}.${field}[${index}]`
      const seen = new Set<string>()
      rule.resourceNames?.forEach((name, position) => {
        for (const said of pathSegment(name)) errors.push(invalidValue(`${at}.resourceNames[${position}]`, name, said))
        if (seen.has(name)) errors.push(duplicate(`${at}.resourceNames[${position}]`, name))
        seen.add(name)
      })
      validateRule(rule, at, errors)
    })
  }
}

function validateVariables(spec: PolicySpec, base: ReadonlyMap<string, Type>, errors: FieldError[]): Map<string, Type> {
  return withVariables(spec, base, ({ name, expression }, compiled, index) => {
    const path = `spec.variables[${index}]`
    if (!name?.trim()) errors.push(required(`${path}.name`, 'name is not specified'))
    else if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || CEL_RESERVED.has(name))
      errors.push(invalidValue(`${path}.name`, name, 'must be a valid CEL identifier'))
    if (!expression?.trim()) errors.push(required(`${path}.expression`, 'expression is not specified'))
    else if ('error' in compiled) errors.push(invalidValue(`${path}.expression`, expression, compiled.error))
  })
}

function validateValidation(
  { expression, message = '', messageExpression = '', reason }: Validation,
  variables: ReadonlyMap<string, Type>,
  path: string,
  errors: FieldError[],
): void {
  if (!expression?.trim()) errors.push(required(`${path}.expression`, 'expression is not specified'))
  else validateExpression(expression, { variables, kinds: ['bool'] }, `${path}.expression`, errors)
  if (messageExpression !== '' && messageExpression.trim() === '')
    errors.push(invalidValue(`${path}.messageExpression`, messageExpression, 'must be non-empty if specified'))
  else if (messageExpression !== '')
    validateExpression(messageExpression, { variables, kinds: ['string'] }, `${path}.messageExpression`, errors)
  if (message !== '' && message.trim() === '')
    errors.push(invalidValue(`${path}.message`, message, 'must be non-empty if specified'))
  else if (/[\n\r]/.test(message.trim()))
    errors.push(invalidValue(`${path}.message`, message, 'must not contain line breaks'))
  if (reason !== undefined && reason !== null && !REASONS.includes(reason))
    errors.push(notSupported(`${path}.reason`, reason, REASONS))
}

function validateAudits(
  policy: string,
  { auditAnnotations }: PolicySpec,
  variables: ReadonlyMap<string, Type>,
  errors: FieldError[],
): void {
  const path = 'spec.auditAnnotations'
  const annotations = auditAnnotations ?? []
  if (annotations.length > MOST_AUDIT_ANNOTATIONS)
    errors.push(invalidValue(path, annotations, `must not have more than ${MOST_AUDIT_ANNOTATIONS} auditAnnotations`))
  const keys = new Set<string>()
  annotations.slice(0, MOST_AUDIT_ANNOTATIONS).forEach(({ key, valueExpression }, index) => {
    const at = `${path}[${index}]`
    const full = `${policy}/${key}`
    for (const said of qualifiedName(full)) errors.push(invalidValue(`${at}.key`, full, said))
    const source = valueExpression.trim()
    if (source === '') errors.push(required(`${at}.valueExpression`, 'valueExpression is not specified'))
    else if (source.length > LONGEST_AUDIT_EXPRESSION)
      errors.push(required(`${at}.valueExpression`, `must not exceed ${LONGEST_AUDIT_EXPRESSION} bytes in length`))
    else validateExpression(source, { variables, kinds: ['string', 'null'] }, `${at}.valueExpression`, errors)
    if (keys.has(key)) errors.push(duplicate(`${at}.key`, key))
    keys.add(key)
  })
}

function validateBinding({ spec }: PolicyBinding): FieldError[] {
  const errors: FieldError[] = []
  const { policyName, paramRef, matchResources } = spec
  if (!policyName) errors.push(required('spec.policyName'))
  else for (const said of dns1123Subdomain(policyName)) errors.push(invalidValue('spec.policyName', policyName, said))
  if (paramRef) validateParamRef(paramRef, errors)
  if (matchResources) validateMatchResources(matchResources, 'spec.matchResources', errors)
  validateActions(spec.validationActions ?? [], errors)
  return errors
}

function validateParamRef(reference: NonNullable<PolicyBinding['spec']['paramRef']>, errors: FieldError[]): void {
  const path = 'spec.paramRef'
  const { name, selector, parameterNotFoundAction: action } = reference
  if (name) {
    for (const said of pathSegment(name)) errors.push(invalidValue(`${path}.name`, name, said))
    if (selector) errors.push(forbidden(`${path}.name`, 'name and selector are mutually exclusive'))
  }
  if (selector) {
    validateLabelSelector(selector as never, `${path}.selector`, errors)
    if (name) errors.push(forbidden(`${path}.selector`, 'name and selector are mutually exclusive'))
  }
  if (!name && !selector) errors.push(required(path, 'one of name or selector must be specified'))
  if (!action) errors.push(required(`${path}.parameterNotFoundAction`))
  else if (action !== 'Deny' && action !== 'Allow')
    errors.push(notSupported(`${path}.parameterNotFoundAction`, action, ['Deny', 'Allow']))
}

function validateActions(actions: readonly string[], errors: FieldError[]): void {
  const path = 'spec.validationActions'
  const seen = new Set<string>()
  actions.forEach((action, index) => {
    if (!ACTIONS.includes(action)) errors.push(notSupported(`${path}[${index}]`, action, ACTIONS))
    if (seen.has(action)) errors.push(duplicate(`${path}[${index}]`, action))
    seen.add(action)
  })
  if (seen.has('Deny') && seen.has('Warn')) {
    const said =
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'
    errors.push(invalidValue(path, actions, said))
  }
  if (seen.size === 0) errors.push(required(path, 'at least one validation action is required'))
}
