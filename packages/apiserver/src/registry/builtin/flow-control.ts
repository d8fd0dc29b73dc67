/**
 * FlowSchemas and PriorityLevelConfigurations, as clients that bring them along expect to find them. Requests are bounded
 * by `http/in-flight.ts` whatever they say.
 */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import * as columns from '../../table/flow-control-columns.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain } from '../names.ts'
import type { Strategy } from '../resource.ts'
import type { Kind } from './kind.ts'
import { keepSpec } from './replica-set.ts'

interface FlowSchema extends KubeObject {
  spec: {
    matchingPrecedence: number
    distinguisherMethod?: { type: string }
    priorityLevelConfiguration: { name: string }
    rules?: Rules[]
  }
  status?: { conditions?: Array<{ type: string }> }
}

/** Go says null where there are none. */
type List<T> = T[] | null | undefined

interface Rules {
  subjects?: List<Subject>
  resourceRules?: List<ResourceRule>
  nonResourceRules?: List<{ verbs?: List<string>; nonResourceURLs?: List<string> }>
}

interface Subject {
  kind: string
  user?: { name: string }
  group?: { name: string }
  serviceAccount?: { name: string; namespace: string }
}

interface ResourceRule {
  verbs?: List<string>
  apiGroups?: List<string>
  resources?: List<string>
  namespaces?: List<string>
  clusterScope?: boolean
}

interface PriorityLevel extends KubeObject {
  spec: { type: string; limited?: Limited; exempt?: { nominalConcurrencyShares?: number; lendablePercent?: number } }
  status?: { conditions?: Array<{ type: string }> }
}

interface Limited {
  nominalConcurrencyShares?: number
  lendablePercent?: number
  borrowingLimitPercent?: number
  limitResponse: { type: string; queuing?: Queuing }
}

interface Queuing {
  queues: number
  handSize: number
  queueLengthLimit: number
}

const METHODS = ['ByNamespace', 'ByUser']
const EXEMPT = 'exempt'
const MOST_PRECEDENCE = 10_000
const MOST_QUEUES = 10_000_000
/** Of the hash from which hands of queues are dealt. */
const HASH_BITS = 60
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch']
const SUBJECT_FIELDS = { Group: 'group', ServiceAccount: 'serviceAccount', User: 'user' } as const

const withStatus = {
  prepareForCreate(object: KubeObject) {
    object.status = {}
  },
  prepareForUpdate(next: KubeObject, current: KubeObject) {
    next.status = structuredClone(current.status)
  },
  prepareForStatusUpdate(next: KubeObject, current: KubeObject) {
    keepSpec(next, current)
    const { managedFields } = next.metadata
    next.metadata = { ...structuredClone(current.metadata), ...(managedFields && { managedFields }) }
  },
  validateStatusUpdate: (next: KubeObject) => validateConditions(next as FlowSchema),
} satisfies Strategy

const flowSchemaStrategy: Strategy = {
  ...withStatus,
  defaults(object) {
    const { spec } = object as FlowSchema
    if (spec) spec.matchingPrecedence ||= 1000
  },
  validate: (object) => validateFlowSchema(object as FlowSchema),
  validateUpdate: (next) => validateFlowSchema(next as FlowSchema),
}

function validateFlowSchema(schema: FlowSchema): FieldError[] {
  const errors: FieldError[] = []
  const { matchingPrecedence: precedence, distinguisherMethod, priorityLevelConfiguration, rules } = schema.spec
  const at = 'spec.matchingPrecedence'
  if (precedence <= 0) errors.push(invalidValue(at, precedence, 'must be a positive value'))
  if (precedence > MOST_PRECEDENCE)
    errors.push(invalidValue(at, precedence, `must not be greater than ${MOST_PRECEDENCE}`))
  if (precedence === 1 && schema.metadata.name !== EXEMPT)
    errors.push(invalidValue(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
  if (distinguisherMethod && !METHODS.includes(distinguisherMethod.type))
    errors.push(notSupported('spec.distinguisherMethod.type', { Type: distinguisherMethod.type }, METHODS))
  const level = priorityLevelConfiguration.name
  const path = 'spec.priorityLevelConfiguration.name'
  if (!level) errors.push(required(path, 'must reference a priority level'))
  else for (const said of dns1123Subdomain(level)) errors.push(invalidValue(path, level, said))
  for (const [index, rule] of (rules ?? []).entries()) validateRules(rule, `spec.rules[${index}]`, errors)
  return [...errors, ...validateConditions(schema)]
}

function validateRules(rules: Rules, path: string, errors: FieldError[]): void {
  const [subjects, resourceRules] = [rules.subjects ?? [], rules.resourceRules ?? []]
  const nonResourceRules = rules.nonResourceRules ?? []
  if (subjects.length === 0) errors.push(required(`${path}.subjects`, 'subjects must contain at least one value'))
  for (const [index, subject] of subjects.entries()) validateSubject(subject, `${path}.subjects[${index}]`, errors)
  if (resourceRules.length + nonResourceRules.length === 0)
    errors.push(required(path, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
  for (const [index, rule] of resourceRules.entries())
    validateResourceRule(rule, `${path}.resourceRules[${index}]`, errors)
  for (const [index, { verbs, nonResourceURLs: urls }] of nonResourceRules.entries()) {
    const at = `${path}.nonResourceRules[${index}]`
    validateVerbs(verbs, `${at}.verbs`, errors)
    const list = { values: urls ?? [], missing: 'nonResourceURLs must contain at least one value' }
    if (!isWildcard({ ...list, others: 'non-resource URLs' }, `${at}.nonResourceURLs`, errors))
      for (const [place, url] of (urls ?? []).entries()) validateUrl(url, `${at}.nonResourceURLs[${place}]`, errors)
  }
}

function validateSubject(subject: Subject, path: string, errors: FieldError[]): void {
  const { kind } = subject
  if (!Object.hasOwn(SUBJECT_FIELDS, kind)) {
    errors.push(notSupported(`${path}.kind`, kind, Object.keys(SUBJECT_FIELDS)))
    return
  }
  const own = SUBJECT_FIELDS[kind as keyof typeof SUBJECT_FIELDS]
  const named = subject[own]
  if (!named) errors.push(required(`${path}.${own}`, `${own} is required when subject kind is '${kind}'`))
  else if (!named.name) errors.push(required(`${path}.${own}.name`))
  if (own === 'serviceAccount' && subject.serviceAccount) {
    const { name, namespace } = subject.serviceAccount
    if (name && name !== '*')
      for (const said of dns1123Subdomain(name)) errors.push(invalidValue(`${path}.${own}.name`, name, said))
    const at = `${path}.${own}.namespace`
    if (!namespace) errors.push(required(at, 'must specify namespace for service account'))
    else for (const said of dns1123Label(namespace)) errors.push(invalidValue(at, namespace, said))
  }
  for (const [other, field] of Object.entries(SUBJECT_FIELDS))
    if (field !== own && subject[field])
      errors.push(forbidden(`${path}.${field}`, `${field} is forbidden when subject kind is not '${other}'`))
}

function validateResourceRule(rule: ResourceRule, path: string, errors: FieldError[]): void {
  const namespaces = rule.namespaces ?? []
  validateVerbs(rule.verbs, `${path}.verbs`, errors)
  const groups = { values: rule.apiGroups ?? [], missing: 'resource rules must supply at least one api group' }
  isWildcard({ ...groups, others: 'api groups' }, `${path}.apiGroups`, errors)
  const kinds = { values: rule.resources ?? [], missing: 'resource rules must supply at least one resource' }
  isWildcard({ ...kinds, others: 'resources' }, `${path}.resources`, errors)
  if (namespaces.length === 0 && rule.clusterScope) return
  const missing = 'resource rules that are not cluster scoped must supply at least one namespace'
  if (isWildcard({ values: namespaces, missing, others: 'namespaces' }, `${path}.namespaces`, errors)) return
  for (const [index, name] of namespaces.entries())
    for (const said of dns1123Label(name)) {
      const message = `each member of this list must be '*' or a DNS-1123 label; ${said}`
      errors.push(invalidValue(`${path}.namespaces[${index}]`, name, message))
    }
}

function validateVerbs(verbs: List<string>, path: string, errors: FieldError[]): void {
  const values = verbs ?? []
  const missing = 'verbs must contain at least one value'
  if (isWildcard({ values, missing, others: 'verbs' }, path, errors)) return
  // One error about the whole list.
  if (values.some((verb) => !VERBS.includes(verb))) errors.push(notSupported(path, values, VERBS))
}

/** Whether there is nothing more to ask of a list: none is an error, and so is a `*` that is not alone. */
function isWildcard(
  { values, missing, others }: { values: string[]; missing: string; others: string },
  path: string,
  errors: FieldError[],
): boolean {
  if (values.length === 0) errors.push(required(path, missing))
  else if (!values.includes('*')) return false
  else if (values.length > 1)
    errors.push(invalidValue(path, values, `if '*' is present, must not specify other ${others}`))
  return true
}

function validateUrl(url: string, path: string, errors: FieldError[]): void {
  const said = urlError(url)
  if (said !== undefined) errors.push(invalidValue(path, url, said))
}

function urlError(url: string): string | undefined {
  if (url === '') return 'must not be empty'
  if (url === '/') return undefined
  if (!url.startsWith('/')) return 'must start with slash'
  if (url.includes(' ')) return 'must not contain white-space'
  if (url.includes('//')) return 'must not contain double slash'
  const wildcards = url.split('*').length - 1
  return wildcards > 1 || (wildcards === 1 && !url.endsWith('/*')) ? 'wildcard can only do suffix matching' : undefined
}

const priorityLevelStrategy: Strategy = {
  ...withStatus,
  defaults(object) {
    const { limited, exempt } = (object as PriorityLevel).spec ?? {}
    if (exempt) {
      exempt.nominalConcurrencyShares ??= 0
      exempt.lendablePercent ??= 0
    }
    if (!limited) return
    limited.nominalConcurrencyShares ??= 30
    limited.lendablePercent ??= 0
    const { queuing } = limited.limitResponse ?? {}
    if (!queuing) return
    queuing.handSize ||= 8
    queuing.queues ||= 64
    queuing.queueLengthLimit ||= 50
  },
  validate: (object) => validatePriorityLevel(object as PriorityLevel),
  validateUpdate: (next) => validatePriorityLevel(next as PriorityLevel),
}

function validatePriorityLevel(level: PriorityLevel): FieldError[] {
  const errors: FieldError[] = []
  const { type, limited, exempt } = level.spec
  if ((level.metadata.name === EXEMPT) !== (type === 'Exempt'))
    errors.push(invalidValue('spec.type', type, "must be 'Exempt' if and only if `name` is 'exempt'"))
  if (type === 'Exempt') {
    if (limited) errors.push(forbidden('spec.limited', 'must be nil if the type is not Limited'))
    validateShares(exempt ?? {}, 'spec.exempt', errors)
  } else if (type === 'Limited') {
    if (exempt) errors.push(forbidden('spec.exempt', 'must be nil if the type is Limited'))
    if (limited) validateLimited(limited, errors)
    else errors.push(required('spec.limited', 'must not be empty when type is Limited'))
  } else errors.push(notSupported('spec.type', type, ['Exempt', 'Limited']))
  return [...errors, ...validateConditions(level)]
}

function validateShares(
  { nominalConcurrencyShares: shares = 0, lendablePercent: lendable = 0 }: PriorityLevel['spec']['exempt'] & object,
  path: string,
  errors: FieldError[],
): void {
  if (shares < 0)
    errors.push(invalidValue(`${path}.nominalConcurrencyShares`, shares, 'must be a non-negative integer'))
  if (lendable < 0 || lendable > 100)
    errors.push(invalidValue(`${path}.lendablePercent`, lendable, 'must be between 0 and 100, inclusive'))
}

function validateLimited(limited: Limited, errors: FieldError[]): void {
  const path = 'spec.limited'
  validateShares(limited, path, errors)
  const { borrowingLimitPercent: borrowing = 0, limitResponse } = limited
  if (borrowing < 0) {
    const said = 'if specified, must be a non-negative integer'
    errors.push(invalidValue(`${path}.borrowingLimitPercent`, borrowing, said))
  }
  const { type, queuing } = limitResponse
  const at = `${path}.limitResponse`
  if (type === 'Reject') {
    if (queuing) errors.push(forbidden(`${at}.queuing`, 'must be nil if limited.limitResponse.type is not Limited'))
  } else if (type === 'Queue') {
    if (queuing) validateQueuing(queuing, `${at}.queuing`, errors)
    else errors.push(required(`${at}.queuing`, 'must not be empty if limited.limitResponse.type is Limited'))
  } else errors.push(notSupported(`${at}.type`, type, ['Queue', 'Reject']))
}

function validateQueuing({ queues, handSize, queueLengthLimit }: Queuing, path: string, errors: FieldError[]): void {
  if (queueLengthLimit <= 0) errors.push(invalidValue(`${path}.queueLengthLimit`, queueLengthLimit, 'must be positive'))
  if (queues <= 0) errors.push(invalidValue(`${path}.queues`, queues, 'must be positive'))
  else if (queues > MOST_QUEUES)
    errors.push(invalidValue(`${path}.queues`, queues, `must not be greater than ${MOST_QUEUES}`))
  const said = handError(queues, handSize)
  if (said !== undefined) errors.push(invalidValue(`${path}.handSize`, handSize, said))
}

function handError(queues: number, hand: number): string | undefined {
  if (hand <= 0) return 'must be positive'
  if (hand > queues) return `should not be greater than queues (${queues})`
  if (Math.ceil(Math.log2(queues) * hand) <= HASH_BITS) return undefined
  return `required entropy bits of deckSize ${queues} and handSize ${hand} should not be greater than ${HASH_BITS}`
}

function validateConditions({ status }: FlowSchema | PriorityLevel): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, { type }] of (status?.conditions ?? []).entries()) {
    const path = `status.conditions[${index}].type`
    if (seen.has(type)) errors.push(duplicate(path, type))
    seen.add(type)
    if (!type) errors.push(required(path))
  }
  return errors
}

const FLOW_CONTROL = {
  definitions: 'io.k8s.api.flowcontrol.v1',
  group: 'flowcontrol.apiserver.k8s.io',
  namespaced: false,
  status: true,
} as const

export const flowControlKinds: readonly Kind[] = [
  {
    ...FLOW_CONTROL,
    kind: 'FlowSchema',
    plural: 'flowschemas',
    columns: columns.flowSchemaColumns,
    strategy: flowSchemaStrategy,
  },
  {
    ...FLOW_CONTROL,
    kind: 'PriorityLevelConfiguration',
    plural: 'prioritylevelconfigurations',
    columns: columns.priorityLevelColumns,
    strategy: priorityLevelStrategy,
  },
]
