/** Which requests a webhook or an admission policy is about: rules, selectors, and other versions of the same kind. */
import type { KubeObject, LabelSelector } from '@caisson/api'
import { selects } from '@caisson/api'
import { type Registry, storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'

export interface Rule {
  operations?: readonly string[] | null
  apiGroups?: readonly string[] | null
  apiVersions?: readonly string[] | null
  resources?: readonly string[] | null
  scope?: string
  resourceNames?: readonly string[] | null
}

export interface Matcher {
  rules?: readonly Rule[] | null
  matchPolicy?: string
  namespaceSelector?: LabelSelector
  objectSelector?: LabelSelector
}

export interface MatchContext {
  store: Pick<Store, 'get'>
  registry: Pick<Registry, 'all'>
}

/** The kind as which the request is meant; undefined where it is not meant at all. */
export function matchRequest(matcher: Matcher, request: AdmissionRequest, context: MatchContext): Resource | undefined {
  if (!inNamespaces(matcher.namespaceSelector, request, context.store)) return undefined
  if (!hasLabels(matcher.objectSelector, request)) return undefined
  return matchResource(matcher, request, context)
}

function matchResource(matcher: Matcher, request: AdmissionRequest, { registry }: MatchContext): Resource | undefined {
  const { resource } = request
  const rules = matcher.rules ?? []
  if (rules.some((rule) => matchesRule(rule, request, resource))) return resource
  if (matcher.matchPolicy === 'Exact') return undefined
  const key = storageKey(resource)
  const others = registry.all().filter((other) => other !== resource && storageKey(other) === key)
  for (const rule of rules) {
    const other = others.find((each) => matchesRule(rule, request, each))
    if (other) return other
  }
  return undefined
}

export function matchesRule(rule: Rule, request: AdmissionRequest, resource: Resource): boolean {
  const { operation, subresource } = request
  return (
    inScope(rule.scope, request) &&
    named(rule.operations, operation) &&
    named(rule.apiGroups, resource.group) &&
    named(rule.apiVersions, resource.version) &&
    (rule.resources ?? []).some((text) => {
      const slash = text.indexOf('/')
      const [plural, sub] = slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash + 1)]
      return (plural === '*' || plural === resource.plural) && (sub === '*' || sub === subresource)
    }) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(request.name))
  )
}

function named(list: readonly string[] | null | undefined, wanted: string): boolean {
  return (list ?? []).some((each) => each === '*' || each === wanted)
}

function isNamespaces({ resource }: AdmissionRequest): boolean {
  return resource.group === '' && resource.plural === 'namespaces'
}

function inScope(scope: string | undefined, request: AdmissionRequest): boolean {
  if (scope === undefined || scope === '*') return true
  const clusterWide = isNamespaces(request) || request.namespace === ''
  return scope === 'Cluster' ? clusterWide : scope === 'Namespaced' && !clusterWide
}

/** Objects outside of namespaces are meant whatever the selector says; a namespace is meant by its own labels. */
function inNamespaces(
  selector: LabelSelector | undefined,
  request: AdmissionRequest,
  store: Pick<Store, 'get'>,
): boolean {
  if (isEmpty(selector)) return true
  if (isNamespaces(request)) {
    const self = request.object ?? request.oldObject
    return request.subresource === '' && request.operation !== 'DELETE'
      ? selects(selector, self?.metadata.labels)
      : selects(selector, store.get('namespaces', undefined, request.name)?.metadata.labels)
  }
  if (request.namespace === '') return true
  return selects(selector, store.get('namespaces', undefined, request.namespace)?.metadata.labels)
}

/** Either of the old and the new object has to be selected. */
function hasLabels(selector: LabelSelector | undefined, { object, oldObject }: AdmissionRequest): boolean {
  if (isEmpty(selector)) return true
  const one = (each: KubeObject | undefined): boolean =>
    each !== undefined && selects(selector, (each as Partial<KubeObject>).metadata?.labels)
  return one(object) || one(oldObject)
}

function isEmpty(selector: LabelSelector | undefined): boolean {
  return !selector || (!Object.keys(selector.matchLabels ?? {}).length && !selector.matchExpressions?.length)
}

const CONFIGURATION_GROUP = 'admissionregistration.k8s.io'

/** What configures admission is not subject to it: a mistake in it could never be mended otherwise. */
export function isExempt({ resource }: AdmissionRequest): boolean {
  return resource.group === CONFIGURATION_GROUP
}
