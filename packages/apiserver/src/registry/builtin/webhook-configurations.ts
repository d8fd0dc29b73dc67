/** MutatingWebhookConfiguration and ValidatingWebhookConfiguration. */
import type { KubeObject } from '@caisson/api'
import { REQUEST_VARIABLES } from '../../admission/match-conditions.ts'
import type { Webhook } from '../../admission/webhooks/configurations.ts'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Subdomain } from '../names.ts'
import { validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import {
  REVIEW_VERSIONS,
  validateReviewVersions,
  validateService,
  validateWebhookUrl,
} from '../webhook-client-config.ts'
import { FAILURE_POLICIES, MATCH_POLICIES, validateConditions, validateRule } from './admission-rules.ts'

interface Configuration extends KubeObject {
  webhooks?: Webhook[] | null
}

const NO_SIDE_EFFECTS = ['None', 'NoneOnDryRun']
const REINVOCATION_POLICIES = ['IfNeeded', 'Never']
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
  else if (url !== undefined) validateWebhookUrl(url, `${path}.clientConfig.url`, errors)
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

function validateVersions(versions: readonly string[], path: string, errors: FieldError[]): void {
  if (versions.length === 0) errors.push(required(path, `must specify one of ${REVIEW_VERSIONS.join(', ')}`))
  else validateReviewVersions(versions, path, errors)
}
