/** APIServices: group versions that are served here, and those that other API servers are asked for (`aggregation/`). */
import { type KubeObject, kubernetesTime } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { AGE, column, list, loose, NAME, text } from '../../table/builtin-columns.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { dns1035Label, dns1123Subdomain, pathSegment, portNumber } from '../names.ts'
import type { Strategy } from '../resource.ts'
import type { Kind } from './kind.ts'

export interface ApiServiceCondition {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason?: string
  message?: string
  lastTransitionTime?: string
}

export interface ApiServiceSpec {
  group?: string
  version?: string
  groupPriorityMinimum: number
  versionPriority: number
  service?: { namespace?: string; name?: string; port?: number }
  /** PEM, in base64. */
  caBundle?: string
  insecureSkipTLSVerify?: boolean
}

export interface ApiServiceObject extends KubeObject {
  spec: ApiServiceSpec
  status?: { conditions?: ApiServiceCondition[] }
}

export const LOCAL_CONDITION = {
  type: 'Available',
  status: 'True',
  reason: 'Local',
  message: 'Local APIServices are always available',
} as const

const MOST = { groupPriorityMinimum: 20_000, versionPriority: 1000 } as const
const STATUSES: readonly string[] = ['True', 'False', 'Unknown']

const strategy: Strategy = {
  nameRule: pathSegment,
  generation: false,
  unconditionalUpdate: false,
  defaults(object) {
    const { service } = asService(object).spec ?? {}
    if (service) service.port ??= 443
  },
  prepareForCreate(object, { now }) {
    const isLocal = asService(object).spec.service === undefined
    object.status = isLocal ? { conditions: [{ ...LOCAL_CONDITION, lastTransitionTime: kubernetesTime(now) }] } : {}
  },
  prepareForStatusUpdate(next, current) {
    next['spec'] = current['spec']
    const { labels, annotations, finalizers, ownerReferences } = current.metadata
    Object.assign(next.metadata, { labels, annotations, finalizers, ownerReferences })
  },
  validate: (object) => validateService(asService(object)),
  validateUpdate: (next) => validateService(asService(next)),
  validateStatusUpdate: (next) =>
    (asService(next).status?.conditions ?? []).flatMap(({ status }, index) =>
      STATUSES.includes(status) ? [] : [notSupported(`status.conditions[${index}].status`, status, STATUSES)],
    ),
}

export const apiServiceKind: Kind = {
  definitions: 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1',
  group: 'apiregistration.k8s.io',
  kind: 'APIService',
  plural: 'apiservices',
  categories: ['api-extensions'],
  namespaced: false,
  status: true,
  columns: [
    NAME,
    column('Service', (object) => {
      const service = loose(object)['spec']?.['service']
      return service ? `${text(service['namespace'])}/${text(service['name'])}` : 'Local'
    }),
    column('Available', (object) => {
      const available = list(loose(object)['status']?.['conditions']).find(({ type }) => text(type) === 'Available')
      if (!available) return 'Unknown'
      const status = text(available['status'])
      return status === 'True' ? status : `${status} (${text(available['reason'])})`
    }),
    AGE,
  ],
  strategy,
}

function asService(object: KubeObject): ApiServiceObject {
  return object as ApiServiceObject
}

function validateService({ metadata, spec }: ApiServiceObject): FieldError[] {
  const errors: FieldError[] = []
  const { group = '', version = '', service, caBundle = '', insecureSkipTLSVerify = false } = spec
  const name = `${version}.${group}`
  if (metadata.name !== name) {
    const said = `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`
    errors.push(invalidValue('metadata.name', metadata.name ?? '', said))
  }
  if (group === '' && version !== 'v1')
    errors.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
  if (group !== '') for (const said of dns1123Subdomain(group)) errors.push(invalidValue('spec.group', group, said))
  for (const said of dns1035Label(version)) errors.push(invalidValue('spec.version', version, said))
  for (const field of ['groupPriorityMinimum', 'versionPriority'] as const) {
    if (spec[field] > 0 && spec[field] <= MOST[field]) continue
    errors.push(invalidValue(`spec.${field}`, spec[field], `must be positive and less than ${MOST[field]}`))
  }
  if (service) validateReference(service, errors)
  const path = 'spec.insecureSkipTLSVerify'
  if (service && insecureSkipTLSVerify && caBundle !== '')
    errors.push(invalidValue(path, true, 'may not be true if caBundle is present'))
  if (service) return errors
  const bytes = Buffer.from(caBundle, 'base64').length
  if (bytes > 0)
    errors.push(invalidValue('spec.caBundle', `${bytes} bytes`, 'local APIServices may not have a caBundle'))
  if (insecureSkipTLSVerify)
    errors.push(invalidValue(path, true, 'local APIServices may not have insecureSkipTLSVerify'))
  return errors
}

function validateReference(
  { namespace, name, port = 443 }: NonNullable<ApiServiceSpec['service']>,
  errors: FieldError[],
) {
  if (!namespace) errors.push(required('spec.service.namespace'))
  if (!name) errors.push(required('spec.service.name'))
  const wrong = portNumber(port)
  if (wrong.length > 0) errors.push(invalidValue('spec.service.port', port, `port is not valid: ${wrong.join(', ')}`))
}
