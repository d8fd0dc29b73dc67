/** What containers ask for: names of resources, their amounts, and how requests and limits go together. */
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notFound, required } from '../field-error.ts'
import { dns1123Label, qualifiedName } from '../names.ts'
import { compareQuantities, nanoOf } from '../quantity.ts'

export type ResourceList = Readonly<Record<string, string>>

export interface ResourceRequirements {
  limits?: ResourceList
  requests?: ResourceList
  claims?: ReadonlyArray<{ name: string; request?: string }>
}

const ONE = 1_000_000_000n
const MAX_NAMED = 50
const CONTAINER_RESOURCES = new Set(['cpu', 'memory', 'ephemeral-storage'])
const COUNTED_RESOURCES = new Set([
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
])
const STANDARD_RESOURCES = new Set([
  ...CONTAINER_RESOURCES,
  ...COUNTED_RESOURCES,
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'storage',
  'requests.storage',
])

export function validateResourceRequirements(
  requirements: ResourceRequirements,
  path: string,
  errors: FieldError[],
  {
    claimNames = new Set(),
    validateName = validateContainerResourceName,
  }: { claimNames?: ReadonlySet<string>; validateName?: typeof validateContainerResourceName } = {},
): void {
  const { limits = {}, requests = {} } = requirements
  for (const name in limits) {
    validateName(name, `${path}.limits[${name}]`, errors)
    validateAmount(name, limits[name] as string, `${path}.limits[${name}]`, errors)
  }
  for (const name in requests) {
    const amount = requests[name] as string
    validateName(name, `${path}.requests[${name}]`, errors)
    validateAmount(name, amount, `${path}.requests[${name}]`, errors)
    validateAgainstLimit(name, amount, limits[name], path, errors)
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)]
  if (names.some(isHugePage) && !names.some((name) => name === 'cpu' || name === 'memory')) {
    errors.push(forbidden(path, 'HugePages require cpu or memory'))
  }
  if (requirements.claims?.length) validateClaims(requirements.claims, claimNames, `${path}.claims`, errors)
}

function validateAgainstLimit(
  name: string,
  amount: string,
  limit: string | undefined,
  path: string,
  errors: FieldError[],
): void {
  if (limit === undefined) {
    if (!isOvercommitAllowed(name))
      errors.push(required(`${path}.limits`, 'Limit must be set for non overcommitable resources'))
    return
  }
  if (amount === limit) return
  const order = compareQuantities(amount, limit)
  if (order !== 0 && !isOvercommitAllowed(name)) {
    errors.push(invalidValue(`${path}.requests`, amount, `must be equal to ${name} limit of ${limit}`))
  } else if (order > 0) {
    errors.push(invalidValue(`${path}.requests`, amount, `must be less than or equal to ${name} limit of ${limit}`))
  }
}

/** A resource must not be negative, and what is counted must be whole. */
export function validateAmount(name: string, amount: string, path: string, errors: FieldError[]): void {
  if (amount.startsWith('-')) errors.push(invalidValue(path, amount, 'must be greater than or equal to 0'))
  if (isHugePage(name)) validateHugePageAmount(name, amount, path, errors)
  if ((COUNTED_RESOURCES.has(name) || isExtended(name)) && nanoOf(amount) % ONE !== 0n) {
    errors.push(invalidValue(path, amount, 'must be an integer'))
  }
}

function validateHugePageAmount(name: string, amount: string, path: string, errors: FieldError[]): void {
  let page: bigint
  try {
    page = nanoOf(name.slice('hugepages-'.length))
  } catch {
    return
  }
  if (page > 0n && nanoOf(amount) % page !== 0n) {
    errors.push(invalidValue(path, amount, `${amount} is not positive integer multiple of ${name}`))
  }
}

export function validateContainerResourceName(name: string, path: string, errors: FieldError[]): void {
  if (CONTAINER_RESOURCES.has(name)) return
  const said = qualifiedName(name)
  for (const error of said) errors.push(invalidValue(path, name, error))
  if (!name.includes('/')) {
    if (!said.length && !STANDARD_RESOURCES.has(name) && !isHugePage(name)) {
      errors.push(invalidValue(path, name, 'must be a standard resource type or fully qualified'))
    }
    if (!isHugePage(name)) errors.push(invalidValue(path, name, 'must be a standard resource for containers'))
  } else if (!isNative(name) && !isExtended(name)) {
    errors.push(invalidValue(path, name, "doesn't follow extended resource name standard"))
  }
}

/** Of what is measured: a standard name, or one with a domain. */
export function validateResourceName(name: string, path: string, errors: FieldError[]): void {
  const said = qualifiedName(name)
  for (const error of said) errors.push(invalidValue(path, name, error))
  if (said.length === 0 && !name.includes('/') && !STANDARD_RESOURCES.has(name) && !isQuotaHugePage(name))
    errors.push(invalidValue(path, name, 'must be a standard resource type or fully qualified'))
}

function isQuotaHugePage(name: string): boolean {
  return isHugePage(name.replace(/^requests\./, ''))
}

export function isQuotaResource(name: string): boolean {
  return (STANDARD_RESOURCES.has(name) && name !== 'storage') || isQuotaHugePage(name)
}

export function validateQuotaResourceName(name: string, path: string, errors: FieldError[]): void {
  validateResourceName(name, path, errors)
  if (name.includes('/')) return
  if (!isQuotaResource(name)) errors.push(invalidValue(path, name, 'must be a standard resource for quota'))
}

export function isHugePage(name: string): boolean {
  return name.startsWith('hugepages-')
}

/** What may be stated for a Pod as a whole. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || isHugePage(name)
}

/** Names without a domain, and those below kubernetes.io. */
function isNative(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/')
}

export function isExtended(name: string): boolean {
  return !isNative(name) && !name.startsWith('requests.') && qualifiedName(`requests.${name}`).length === 0
}

/** Only these may be requested below their limit. */
export function isOvercommitAllowed(name: string): boolean {
  return isNative(name) && !isHugePage(name)
}

function validateClaims(
  claims: ReadonlyArray<{ name: string; request?: string }>,
  podClaims: ReadonlySet<string>,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  // Said again with each claim: a list without an end would be of quadratic length.
  const named = [...podClaims].sort().slice(0, MAX_NAMED).join(', ')
  claims.forEach(({ name, request }, index) => {
    const at = `${path}[${index}]`
    if (!name) {
      errors.push(required(at))
      return
    }
    if (request) for (const said of dns1123Label(request)) errors.push(invalidValue(`${at}.request`, request, said))
    const key = request ? `${name}/${request}` : name
    if (seen.has(name)) errors.push(duplicate(at, name))
    else if (seen.has(key)) errors.push(duplicate(at, key))
    seen.add(key)
    if (podClaims.has(name)) return
    const known = podClaims.size ? `: ${named}` : ' which is empty'
    errors.push(notFound(at, name, `must be one of the names in pod.spec.resourceClaims${known}`))
  })
}
