/** `spec.conversion` of a CustomResourceDefinition, by the names that its fields have inside of Kubernetes. */
import { X509Certificate } from 'node:crypto'
import type { FieldError } from '../status-error.ts'
import type { CrdSpec } from './crd.ts'
import { forbidden, invalidValue, notSupported, required } from './field-error.ts'
import { validateReviewVersions, validateService, validateWebhookUrl } from './webhook-client-config.ts'

type WebhookConversion = NonNullable<NonNullable<CrdSpec['conversion']>['webhook']>

const PATH = 'spec.conversion'

/** @param before of the definition that is updated */
export function validateConversion({ conversion }: CrdSpec, before: CrdSpec | undefined): FieldError[] {
  if (!conversion) return []
  const { strategy, webhook } = conversion
  const errors: FieldError[] = []
  if (!strategy) errors.push(required(`${PATH}.strategy`))
  else if (strategy !== 'None' && strategy !== 'Webhook')
    errors.push(notSupported(`${PATH}.strategy`, strategy, ['None', 'Webhook']))
  if (strategy === 'Webhook') return [...errors, ...validateWebhook(webhook ?? {}, before)]
  const said = 'should not be set when strategy is not set to Webhook'
  if (webhook?.clientConfig) errors.push(forbidden(`${PATH}.webhookClientConfig`, said))
  if (webhook?.conversionReviewVersions?.length) errors.push(forbidden(`${PATH}.conversionReviewVersions`, said))
  return errors
}

function validateWebhook(webhook: WebhookConversion, before: CrdSpec | undefined): FieldError[] {
  const { clientConfig, conversionReviewVersions } = webhook
  const path = `${PATH}.webhookClientConfig`
  const errors: FieldError[] = []
  if (!clientConfig) errors.push(required(path, 'required when strategy is set to Webhook'))
  else {
    const { url, service, caBundle } = clientConfig
    if ((url === undefined) === (service === undefined))
      errors.push(required(path, 'exactly one of url or service is required'))
    else if (url !== undefined) validateWebhookUrl(url, `${path}.url`, errors)
    else if (service) validateService(service, `${path}.service`, errors)
    // A new definition may be without its certificates for now: an installer is on its way with them.
    const was = before?.conversion?.webhook?.clientConfig?.caBundle
    if (before && isBad(caBundle) && !isBad(was)) {
      const bytes = [...Buffer.from(caBundle as string, 'base64')]
      const wrong = 'unable to load root certificates: unable to parse bytes as PEM block'
      errors.push(invalidValue(`${path}.caBundle`, bytes, wrong))
    }
  }
  const reviews = `${PATH}.conversionReviewVersions`
  if (!conversionReviewVersions?.length) errors.push(required(reviews))
  else validateReviewVersions(conversionReviewVersions, reviews, errors)
  return errors
}

/** Whether there are certificates, and none of them can be read. */
function isBad(caBundle: string | undefined): boolean {
  if (!caBundle) return false
  try {
    return new X509Certificate(Buffer.from(caBundle, 'base64')).subject === undefined
  } catch {
    return true
  }
}
