/** How a webhook is reached, as every kind that names one says it. */
import type { ServiceReference } from '../admission/webhooks/webhook-client.ts'
import type { FieldError } from '../status-error.ts'
import { invalidValue, required } from './field-error.ts'
import { parseGoUrl } from './go-url.ts'
import { dns1035Label, dns1123Subdomain, portNumber } from './names.ts'

export const REVIEW_VERSIONS: readonly string[] = ['v1', 'v1beta1']

const FORM = '; desired format: https://host[/path]'

/** Kubernetes' form of it: https, without user, query or fragment. */
export function validateWebhookUrl(text: string, path: string, errors: FieldError[]): void {
  const url = parseGoUrl(text)
  if ('error' in url) {
    errors.push(required(path, `url must be a valid URL: ${url.error}${FORM}`))
    return
  }
  const { scheme, host, user, query, fragment } = url
  if (scheme !== 'https') errors.push(invalidValue(path, scheme, `'https' is the only allowed URL scheme${FORM}`))
  if (host === '') errors.push(invalidValue(path, host, `host must be specified${FORM}`))
  if (user !== undefined) errors.push(invalidValue(path, user, 'user information is not permitted in the URL'))
  if (fragment !== '') errors.push(invalidValue(path, fragment, 'fragments are not permitted in the URL'))
  if (query !== '') errors.push(invalidValue(path, query, 'query parameters are not permitted in the URL'))
}

export function validateService(
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

/** Of reviews of any kind: at least one that this server knows. */
export function validateReviewVersions(versions: readonly string[], path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  versions.forEach((version, index) => {
    if (seen.has(version)) errors.push(invalidValue(`${path}[${index}]`, version, 'duplicate version'))
    else for (const said of dns1035Label(version)) errors.push(invalidValue(`${path}[${index}]`, version, said))
    seen.add(version)
  })
  if (!versions.some((version) => REVIEW_VERSIONS.includes(version)))
    errors.push(invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(', ')}`))
}
