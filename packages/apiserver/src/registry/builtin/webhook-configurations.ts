/** MutatingWebhookConfiguration and ValidatingWebhookConfiguration. */
import type { KubeObject } from '@caisson/api'
import { REQUEST_VARIABLES } from '../../admission/match-conditions.ts'
import type { Webhook } from '../../admission/webhooks/configurations.ts'
import type { ServiceReference } from '../../admission/webhooks/webhook-client.ts'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1035Label, dns1123Subdomain, portNumber } from '../names.ts'
import { validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { FAILURE_POLICIES, MATCH_POLICIES, validateConditions, validateRule } from './admission-rules.ts'

interface Configuration extends KubeObject {
  webhooks?: Webhook[] | null
}

const NO_SIDE_EFFECTS = ['None', 'NoneOnDryRun']
const REINVOCATION_POLICIES = ['IfNeeded', 'Never']
const REVIEW_VERSIONS = ['v1', 'v1beta1']
const LONGEST_TIMEOUT = 30

export const mutatingWebhookStrategy = strategyOf(true)
export const validatingWebhookStrategy = strategyOf(false)

function strategyOf(mutating: boolean): Strategy {
  return {
    unconditionalUpdate: false,
    defaults(object) {
      for (const webhook of (object as Configuration).webhooks ?? []) setDefaults(webhook, mutating)
    },
    validate: (object) => validateConfiguration(object as Configuration),
    validateUpdate: (next) => validateConfiguration(next as Configuration),
  }
}

function setDefaults(webhook: Webhook, mutating: boolean): void {
  webhook.failurePolicy ??= 'Fail'
  webhook.matchPolicy ??= 'Equivalent'
  webhook.namespaceSelector ??= {}
  webhook.objectSelector ??= {}
  webhook.timeoutSeconds ??= 10
  if (mutating) webhook.reinvocationPolicy ??= 'Never'
  for (const rule of webhook.rules ?? []) rule.scope ??= '*'
  const { service } = webhook.clientConfig ?? {}
  if (service) service.port ??= 443
}

function validateConfiguration({ webhooks }: Configuration): FieldError[] {
  const errors: FieldError[] = []
  const names = new Set<string>()
  webhooks?.forEach((webhook, index) => {
    const path = `webhooks[${index}]`
    validateWebhook(webhook, path, errors)
    validateVersions(webhook.admissionReviewVersions ?? [], `${path}.admissionReviewVersions`, errors)
    if (webhook.name && names.has(webhook.name)) errors.push(duplicate(`${path}.name`, webhook.name))
    names.add(webhook.name)
  })
  return errors
}

function validateWebhook(webhook: Webhook, path: string, errors: FieldError[]): void {
  validateFullName(webhook.name, `${path}.name`, errors)
  webhook.rules?.forEach((rule, index) => validateRule(rule, `${path}.rules[${index}]`, errors))
  const oneOf = (field: 'failurePolicy' | 'matchPolicy' | 'reinvocationPolicy', supported: string[]): void => {
    const value = webhook[field]
    if (value !== undefined && !supported.includes(value))
      errors.push(notSupported(`${path}.${field}`, value, supported))
  }
  oneOf('failurePolicy', FAILURE_POLICIES)
  oneOf('matchPolicy', MATCH_POLICIES)
  const { sideEffects, timeoutSeconds } = webhook
  if (sideEffects === undefined || sideEffects === null)
    errors.push(required(`${path}.sideEffects`, `must specify one of ${NO_SIDE_EFFECTS.join(', ')}`))
  else if (!NO_SIDE_EFFECTS.includes(sideEffects))
    errors.push(notSupported(`${path}.sideEffects`, sideEffects, NO_SIDE_EFFECTS))
  if (timeoutSeconds !== undefined && (timeoutSeconds > LONGEST_TIMEOUT || timeoutSeconds < 1)) {
    const said = 'the timeout value must be between 1 and 30 seconds'
    errors.push(invalidValue(`${path}.timeoutSeconds`, timeoutSeconds, said))
  }
  for (const field of ['namespaceSelector', 'objectSelector'] as const)
    validateLabelSelector(webhook[field] as never, `${path}.${field}`, errors)
  oneOf('reinvocationPolicy', REINVOCATION_POLICIES)
  const { url, service } = webhook.clientConfig ?? {}
  if ((url === undefined) === (service === undefined))
    errors.push(required(`${path}.clientConfig`, 'exactly one of url or service is required'))
  else if (url !== undefined) validateUrl(url, `${path}.clientConfig.url`, errors)
  else if (service) validateService(service, `${path}.clientConfig.service`, errors)
  validateConditions(webhook.matchConditions ?? [], REQUEST_VARIABLES, `${path}.matchConditions`, errors)
}

function validateFullName(name: string | undefined, path: string, errors: FieldError[]): void {
  if (!name) {
    errors.push(required(path))
    return
  }
  const said = dns1123Subdomain(name)
  if (said.length > 0) errors.push(invalidValue(path, name, said.join(',')))
  else if (name.split('.').length < 3)
    errors.push(invalidValue(path, name, 'should be a domain with at least three segments separated by dots'))
}

const FORM = '; desired format: https://host[/path]'

function validateUrl(text: string, path: string, errors: FieldError[]): void {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text)
  const [, scheme = '', authority = '', , query = '', fragment = ''] = match ?? []
  if (scheme !== 'https') errors.push(invalidValue(path, scheme, `'https' is the only allowed URL scheme${FORM}`))
  const at = authority.lastIndexOf('@')
  const host = authority.slice(at + 1)
  if (host === '') errors.push(invalidValue(path, host, `host must be specified${FORM}`))
  else if (!URL.canParse(text))
    errors.push(required(path, `url must be a valid URL: parse ${JSON.stringify(text)}${FORM}`))
  if (at >= 0) errors.push(invalidValue(path, authority.slice(0, at), 'user information is not permitted in the URL'))
  if (fragment !== '') errors.push(invalidValue(path, fragment, 'fragments are not permitted in the URL'))
  if (query !== '') errors.push(invalidValue(path, query, 'query parameters are not permitted in the URL'))
}

function validateService(
  { name, namespace, path: target, port = 443 }: ServiceReference,
  path: string,
  errors: FieldError[],
): void {
  // Kubernetes takes the one for the other here, so its errors do too.
  if (!namespace) errors.push(required(`${path}.name`))
  if (!name) errors.push(required(`${path}.namespace`))
  const wrong = portNumber(port)
  if (wrong.length > 0) errors.push(invalidValue(`${path}.port`, port, `port is not valid: ${wrong.join(', ')}`))
  if (!target || target === '/') return
  const at = `${path}.path`
  if (target === '//') {
    errors.push(invalidValue(at, target, 'segment[0] may not be empty'))
    return
  }
  if (!target.startsWith('/')) errors.push(invalidValue(at, target, "must start with a '/'"))
  target
    .slice(1)
    .replace(/\/$/, '')
    .split('/')
    .forEach((segment, index) => {
      if (segment === '') errors.push(invalidValue(at, target, `segment[${index}] may not be empty`))
      else
        for (const said of dns1123Subdomain(segment))
          errors.push(invalidValue(at, target, `segment[${index}]: ${said}`))
    })
}

function validateVersions(versions: readonly string[], path: string, errors: FieldError[]): void {
  if (versions.length === 0) {
    errors.push(required(path, `must specify one of ${REVIEW_VERSIONS.join(', ')}`))
    return
  }
  const seen = new Set<string>()
  versions.forEach((version, index) => {
    if (seen.has(version)) errors.push(invalidValue(`${path}[${index}]`, version, 'duplicate version'))
    else for (const said of dns1035Label(version)) errors.push(invalidValue(`${path}[${index}]`, version, said))
    seen.add(version)
  })
  if (!versions.some((version) => REVIEW_VERSIONS.includes(version)))
    errors.push(invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`))
}
