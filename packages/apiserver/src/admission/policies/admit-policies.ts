/** ValidatingAdmissionPolicy: rules in CEL, bound to requests and parameters by objects. */
import type { KubeObject } from '@caisson/api'
import { selects } from '@caisson/api'
import { forbiddenObject } from '../../authz/attributes.ts'
import { groupVersion, type Registry, storageKey } from '../../registry/registry.ts'
import type { Resource } from '../../registry/resource.ts'
import { StatusError, type StatusReason } from '../../status-error.ts'
import type { Store } from '../../storage/store.ts'
import type { AdmissionRequest } from '../../verbs/call.ts'
import { fromStorage } from '../../verbs/versions.ts'
import { admissionAttributes } from '../admission-review.ts'
import { requestValues, type Values } from '../match-conditions.ts'
import { isExempt, matchesRule, matchRequest } from '../match-rules.ts'
import { type Denial, evaluatePolicy } from './evaluate-policy.ts'
import type { MatchResources, Policy, PolicyBinding } from './policy.ts'

export const POLICIES = 'validatingadmissionpolicies.admissionregistration.k8s.io'
const BINDINGS = 'validatingadmissionpolicybindings.admissionregistration.k8s.io'

export interface PolicyContext {
  store: Pick<Store, 'get' | 'list'>
  registry: Pick<Registry, 'all'>
}

/** Throws what the first policy that denies the request has to say; warns of those that only warn. */
export function admitPolicies(request: AdmissionRequest, context: PolicyContext): void {
  const { store } = context
  const policies = store.list(POLICIES) as Iterable<Policy>
  let denied: { message: string; reason: string | undefined } | undefined
  let bindings: PolicyBinding[] | undefined
  for (const policy of policies) {
    if (isExempt(request)) return
    const shown = isMeant(policy.spec.matchConstraints ?? {}, request, context)
    if (!shown) continue
    bindings ??= [...store.list(BINDINGS)] as PolicyBinding[]
    const own = bindings.filter(({ spec }) => spec.policyName === policy.metadata.name)
    const wrong = own.length > 0 ? misconfiguration(policy, context) : undefined
    if (wrong !== undefined) {
      const message = `ValidatingAdmissionPolicy '${policy.metadata.name}' denied request: failed to configure policy: ${wrong}`
      if (policy.spec.failurePolicy !== 'Ignore') denied ??= { message, reason: undefined }
      continue
    }
    for (const binding of own) {
      if (binding.spec.matchResources && !isMeant(binding.spec.matchResources, request, context, true)) continue
      for (const { message, reason, always } of judge(policy, binding, { request, shown, context })) {
        const actions = always ? ['Deny'] : (binding.spec.validationActions ?? [])
        const names = `'${policy.metadata.name}' with binding '${binding.metadata.name}'`
        if (actions.includes('Warn'))
          request.warn(`Validation failed for ValidatingAdmissionPolicy ${names}: ${message}`)
        if (actions.includes('Deny'))
          denied ??= { message: `ValidatingAdmissionPolicy ${names} denied request: ${message}`, reason }
      }
    }
  }
  if (denied) throw refusal(request, denied)
}

/** The kind as which the request is meant. A binding without rules of its own means what its policy does. */
function isMeant(
  resources: MatchResources,
  request: AdmissionRequest,
  context: PolicyContext,
  ofBinding = false,
): Resource | undefined {
  const { resourceRules, excludeResourceRules, ...rest } = resources
  if ((excludeResourceRules ?? []).some((rule) => matchesRule(rule, request, request.resource))) return undefined
  const every = ofBinding && !resourceRules?.length ? [EVERYTHING] : (resourceRules ?? [])
  return matchRequest({ ...rest, rules: every }, request, context)
}

const EVERYTHING = { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }

interface Judged extends Denial {
  /** What the binding wants done does not matter: it could not be carried out. */
  always?: boolean
}

interface Case {
  request: AdmissionRequest
  shown: Resource
  context: PolicyContext
}

function judge(policy: Policy, binding: PolicyBinding, { request, shown, context }: Case): Judged[] {
  let params: Array<KubeObject | undefined>
  try {
    params = paramsOf(policy, binding, request, context)
  } catch (error) {
    if (!(error instanceof Misconfigured)) throw error
    if (policy.spec.failurePolicy === 'Ignore') return []
    return [{ message: `failed to configure binding: ${error.message}`, reason: undefined, always: true }]
  }
  if (params.length === 0) return []
  const values: Values = requestValues(admissionAttributes(request, shown))
  const isNamespace = request.resource.group === '' && request.resource.plural === 'namespaces'
  const namespace =
    request.namespace === '' || isNamespace ? undefined : context.store.get('namespaces', undefined, request.namespace)
  return params.flatMap((each) => evaluatePolicy(policy, { values, params: each, namespace }))
}

/** Why the policy cannot be applied whatever its bindings say. */
function misconfiguration({ spec: { paramKind } }: Policy, { registry }: PolicyContext): string | undefined {
  if (!paramKind || paramResource(paramKind, registry)) return undefined
  return `failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`
}

function paramResource(
  { apiVersion, kind }: { apiVersion: string; kind: string },
  registry: PolicyContext['registry'],
): Resource | undefined {
  return registry.all().find((each) => each.kind === kind && groupVersion(each) === apiVersion)
}

class Misconfigured extends Error {
  override readonly name = 'Misconfigured'
}

/** Each parameter is one evaluation; one without any is one too, where the policy takes none. */
function paramsOf(
  { spec }: Policy,
  { spec: { paramRef } }: PolicyBinding,
  request: AdmissionRequest,
  { store, registry }: PolicyContext,
): Array<KubeObject | undefined> {
  const { paramKind } = spec
  if (!paramKind || !paramRef) return [undefined]
  const resource = paramResource(paramKind, registry)
  if (!resource) return []
  if (paramRef.namespace && !resource.namespaced)
    throw new Misconfigured('paramRef.namespace must not be provided for a cluster-scoped `paramKind`')
  const namespace = resource.namespaced ? paramRef.namespace || request.namespace : undefined
  if (namespace === '')
    throw new Misconfigured('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources')
  const key = storageKey(resource)
  const found = paramRef.name
    ? [store.get(key, namespace, paramRef.name)].filter((each) => each !== undefined)
    : [...store.list(key, namespace)].filter(({ metadata }) => selects(paramRef.selector ?? undefined, metadata.labels))
  if (found.length === 0 && paramRef.parameterNotFoundAction === 'Deny')
    throw new Misconfigured('no params found for policy binding with `Deny` parameterNotFoundAction')
  return found.map((each) => fromStorage(resource, each))
}

const CODES: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Unauthorized: 401,
  RequestEntityTooLarge: 413,
  Invalid: 422,
}

function refusal(
  request: AdmissionRequest,
  { message, reason = 'Invalid' }: { message: string; reason: string | undefined },
): StatusError {
  const { resource, object } = request
  const { metadata } = (object ?? {}) as Partial<KubeObject>
  const name = request.name || metadata?.name || metadata?.generateName || 'Unknown'
  const error = forbiddenObject({ group: resource.group, resource: resource.plural, name }, message)
  return new StatusError(reason as StatusReason, error.message, {
    code: CODES[reason] ?? 422,
    details: { ...error.details, causes: [{ message }] },
  })
}
