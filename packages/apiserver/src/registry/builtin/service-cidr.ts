/**
 * The range of Services' addresses, as it is, and IPAddresses. Addresses are read off the Services themselves
 * (`service-allocation.ts`): IPAddresses are whoever's who makes them, and no further range is handed out.
 */
import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { AGE, column, loose, NAME, text } from '../../table/builtin-columns.ts'
import { forbidden, invalidValue, required } from '../field-error.ts'
import { canonicalIpErrors } from '../ip-address.ts'
import { dns1123Subdomain, pathSegment } from '../names.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'
import type { Kind } from './kind.ts'
import { keepSpec } from './replica-set.ts'

/** Of the range that the cluster has. */
const DEFAULT_SERVICE_CIDR = 'kubernetes'

const serviceCidrStrategy: Strategy = {
  prepareForCreate(object) {
    object.status = {}
  },
  prepareForStatusUpdate: keepSpec,
  validate({ metadata }) {
    if (metadata.name === DEFAULT_SERVICE_CIDR) return []
    const said = `this cluster has one range of addresses for Services, that of ServiceCIDR "${DEFAULT_SERVICE_CIDR}"`
    return [forbidden('metadata.name', said)]
  },
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    if (!deepEqual(next['spec'], current['spec'])) {
      const { cidrs } = (next['spec'] ?? {}) as { cidrs?: string[] }
      errors.push(invalidValue('spec.cidrs', cidrs ?? null, 'field is immutable'))
    }
    return errors
  },
}

interface IPAddress extends KubeObject {
  spec?: { parentRef?: { group?: string; resource?: string; namespace?: string; name?: string } }
}

const ipAddressStrategy: Strategy = {
  generation: false,
  nameRule: canonicalIpErrors,
  validate: (object) => validateAddress(object as IPAddress),
  validateUpdate(next, current) {
    const errors = validateAddress(next as IPAddress)
    const [parent, old] = [next as IPAddress, current as IPAddress].map(({ spec }) => spec?.parentRef)
    immutable(parent, old, 'spec.parentRef', errors)
    return errors
  },
}

function validateAddress({ spec }: IPAddress): FieldError[] {
  const parent = spec?.parentRef
  if (!parent) return [required('spec.parentRef')]
  const errors: FieldError[] = []
  const { group, resource, namespace, name } = parent
  const path = 'spec.parentRef'
  if (group) for (const said of dns1123Subdomain(group)) errors.push(invalidValue(`${path}.group`, group, said))
  for (const [field, value] of Object.entries({ resource, name })) {
    if (!value) errors.push(required(`${path}.${field}`))
    else for (const said of pathSegment(value)) errors.push(invalidValue(`${path}.${field}`, value, said))
  }
  if (namespace)
    for (const said of pathSegment(namespace)) errors.push(invalidValue(`${path}.namespace`, namespace, said))
  return errors
}

const NETWORKING = { definitions: 'io.k8s.api.networking.v1', group: 'networking.k8s.io', namespaced: false } as const

export const serviceCidrKind: Kind = {
  ...NETWORKING,
  kind: 'ServiceCIDR',
  plural: 'servicecidrs',
  status: true,
  columns: [
    NAME,
    column('CIDRs', (range) => ((loose(range)['spec']?.['cidrs'] ?? []) as unknown as string[]).join(',')),
    AGE,
  ],
  strategy: serviceCidrStrategy,
}

export const ipAddressKind: Kind = {
  ...NETWORKING,
  kind: 'IPAddress',
  plural: 'ipaddresses',
  shortNames: ['ip'],
  columns: [
    NAME,
    column('ParentRef', (address) => {
      const parent = loose(address)['spec']?.['parentRef']
      if (!parent) return '<none>'
      const [group, namespace] = [text(parent['group']), text(parent['namespace'])]
      const kind = `${text(parent['resource'])}${group && `.${group}`}`.toLowerCase()
      return `${kind}${namespace && `/${namespace}`}/${text(parent['name'])}`
    }),
    AGE,
  ],
  strategy: ipAddressStrategy,
}
