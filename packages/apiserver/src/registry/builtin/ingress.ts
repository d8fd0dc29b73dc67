/** Ingress and IngressClass. Nothing of ours serves them: a controller that somebody installs does. */
import type { KubeObject } from '@caisson/api'
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressClassParametersReference,
  IngressRule,
  IngressTLS,
} from 'kubernetes-types/networking/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required, tooLong } from '../field-error.ts'
import {
  dns1035Label,
  dns1123Label,
  dns1123Subdomain,
  httpPath,
  pathSegment,
  portName,
  portNumber,
  wildcardSubdomain,
} from '../names.ts'
import type { Strategy } from '../resource.ts'
import { pointWarnings, refuseAddress, validatePoints } from './balancer-status.ts'
import { immutable } from './immutable.ts'
import { keepSpec } from './replica-set.ts'

/** The older way to name a class. */
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const LONGEST_CONTROLLER = 250
const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix']
const SCOPES = ['Cluster', 'Namespace']

export const ingressStrategy: Strategy = {
  prepareForCreate(object) {
    object.status = { loadBalancer: {} }
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
  },
  prepareForStatusUpdate: keepSpec,
  validate(object) {
    const errors = validateIngress(asIngress(object), FRESH)
    const annotation = classAnnotation(object)
    const { ingressClassName } = asIngress(object).spec ?? {}
    if (annotation !== undefined && ingressClassName !== undefined && annotation !== ingressClassName) {
      const said = 'must match `ingressClassName` when both are specified'
      errors.push(invalidValue(`annotations.${CLASS_ANNOTATION}`, annotation, said))
    }
    return errors
  },
  validateUpdate: (next, current) => validateIngress(asIngress(next), toleratedIn(asIngress(current))),
  validateStatusUpdate: (next, current) => validatePoints(next, current, { modes: false }),
  statusWarnings: pointWarnings,
  warnings(object, current) {
    if (current || classAnnotation(object) === undefined || asIngress(object).spec?.ingressClassName !== undefined)
      return []
    return [`annotation "${CLASS_ANNOTATION}" is deprecated, please use 'spec.ingressClassName' instead`]
  },
}

export const ingressClassStrategy: Strategy = {
  defaults(object) {
    const parameters = asClass(object).spec?.parameters
    if (parameters) parameters.scope ??= 'Cluster'
  },
  validate: (object) => validateClass(asClass(object)),
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    immutable(asClass(next).spec?.controller ?? '', asClass(current).spec?.controller ?? '', 'spec.controller', errors)
    return [...errors, ...validateClass(asClass(next))]
  },
}

function asIngress(object: KubeObject): Ingress {
  return object as unknown as Ingress
}

function asClass(object: KubeObject): IngressClass {
  return object as unknown as IngressClass
}

function classAnnotation({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[CLASS_ANNOTATION]
}

/** What was let in by an earlier version, and may stay. */
interface Tolerated {
  secretNames: boolean
  wildcardRules: boolean
  serviceNames: boolean
}

const FRESH: Tolerated = { secretNames: false, wildcardRules: false, serviceNames: false }

function toleratedIn({ spec }: Ingress): Tolerated {
  const rules = spec?.rules ?? []
  return {
    secretNames: (spec?.tls ?? []).some(({ secretName }) => secretName && dns1123Subdomain(secretName).length > 0),
    wildcardRules: rules.some((rule) => {
      const errors: FieldError[] = []
      validateRuleValue(rule, '', { tolerated: FRESH, errors })
      return rule.host?.includes('*') && errors.length > 0
    }),
    serviceNames: rules.some(({ http }) =>
      http?.paths?.some(({ backend }) => {
        const name = backend?.service?.name
        return name && dns1035Label(name).length > 0 && dns1123Label(name).length === 0
      }),
    ),
  }
}

interface Checking {
  tolerated: Tolerated
  errors: FieldError[]
}

function validateIngress({ spec }: Ingress, tolerated: Tolerated): FieldError[] {
  const errors: FieldError[] = []
  const { rules = [], defaultBackend, tls = [], ingressClassName } = spec ?? {}
  if (rules.length === 0 && !defaultBackend) {
    errors.push(invalidValue('spec', spec?.rules ?? null, 'either `defaultBackend` or `rules` must be specified'))
  }
  if (defaultBackend) validateBackend(defaultBackend, 'spec.defaultBackend', { tolerated, errors })
  rules.forEach((rule, index) => validateRule(rule, `spec.rules[${index}]`, { tolerated, errors }))
  tls.forEach((each, index) => validateTls(each, `spec.tls[${index}]`, { tolerated, errors }))
  if (ingressClassName !== undefined) {
    for (const said of dns1123Subdomain(ingressClassName)) {
      errors.push(invalidValue('spec.ingressClassName', ingressClassName, said))
    }
  }
  return errors
}

function validateTls({ hosts = [], secretName }: IngressTLS, path: string, { tolerated, errors }: Checking): void {
  hosts.forEach((host, index) => validateHost(host, `${path}.hosts[${index}]`, errors))
  if (!secretName || tolerated.secretNames) return
  for (const said of dns1123Subdomain(secretName)) errors.push(invalidValue(`${path}.secretName`, secretName, said))
}

function validateHost(host: string, path: string, errors: FieldError[]): void {
  const problems = host.includes('*') ? wildcardSubdomain(host) : dns1123Subdomain(host)
  for (const said of problems) errors.push(invalidValue(path, host, said))
}

function validateRule(rule: IngressRule, path: string, checking: Checking): void {
  const { host = '' } = rule
  if (host !== '') {
    refuseAddress(host, `${path}.host`, checking.errors)
    validateHost(host, `${path}.host`, checking.errors)
  }
  if (host.includes('*') && checking.tolerated.wildcardRules) return
  validateRuleValue(rule, path, checking)
}

function validateRuleValue({ http }: IngressRule, path: string, checking: Checking): void {
  if (!http) return
  const paths = http.paths ?? []
  if (paths.length === 0) checking.errors.push(required(`${path}.http.paths`))
  paths.forEach((each, index) => validatePath(each, `${path}.http.paths[${index}]`, checking))
}

function validatePath(rule: HTTPIngressPath, at: string, checking: Checking): void {
  const { path = '', backend } = rule
  // The Go type is stored with its null.
  const pathType: string | null | undefined = rule.pathType
  const { errors } = checking
  if (pathType === undefined || pathType === null) {
    errors.push(required(`${at}.pathType`, 'pathType must be specified'))
    return
  }
  if (!PATH_TYPES.includes(pathType)) errors.push(notSupported(`${at}.pathType`, pathType, PATH_TYPES))
  else if (pathType === 'ImplementationSpecific') {
    if (path !== '') requireAbsolute(path, at, errors)
  } else {
    requireAbsolute(path, at, errors)
    for (const part of ['//', '/./', '/../', '%2f', '%2F']) {
      if (path.includes(part)) errors.push(invalidValue(`${at}.path`, path, `must not contain '${part}'`))
    }
    for (const end of ['/..', '/.']) {
      if (path.endsWith(end)) errors.push(invalidValue(`${at}.path`, path, `cannot end with '${end}'`))
    }
  }
  validateBackend(backend ?? {}, `${at}.backend`, checking)
}

function requireAbsolute(path: string, at: string, errors: FieldError[]): void {
  if (!path.startsWith('/')) errors.push(invalidValue(`${at}.path`, path, 'must be an absolute path'))
}

function validateBackend({ service, resource }: IngressBackend, path: string, { tolerated, errors }: Checking): void {
  if (resource && service) {
    errors.push(invalidValue(path, '', 'cannot set both resource and service backends'))
    return
  }
  if (resource) return validateReference(resource, `${path}.resource`, errors)
  if (!service) {
    errors.push(invalidValue(path, '', 'resource or service backend is required'))
    return
  }
  if (!service.name) errors.push(required(`${path}.service.name`))
  else {
    const problems = tolerated.serviceNames ? dns1123Label(service.name) : dns1035Label(service.name)
    for (const said of problems) errors.push(invalidValue(`${path}.service.name`, service.name, said))
  }
  const { name, number } = service.port ?? {}
  if (name && number) errors.push(invalidValue(path, '', 'cannot set both port name & port number'))
  else if (name) {
    for (const said of portName(name)) errors.push(invalidValue(`${path}.service.port.name`, name, said))
  } else if (number) {
    for (const said of portNumber(number)) errors.push(invalidValue(`${path}.service.port.number`, number, said))
  } else errors.push(required(path, 'port name or number is required'))
}

function validateReference(
  { apiGroup, kind, name }: { apiGroup?: string | null; kind?: string; name?: string },
  path: string,
  errors: FieldError[],
): void {
  // The Go type is stored with its null.
  if (apiGroup !== undefined && apiGroup !== null) {
    for (const said of dns1123Subdomain(apiGroup)) errors.push(invalidValue(`${path}.apiGroup`, apiGroup, said))
  }
  for (const [field, value] of Object.entries({ kind, name })) {
    if (!value) errors.push(required(`${path}.${field}`))
    else for (const said of pathSegment(value)) errors.push(invalidValue(`${path}.${field}`, value, said))
  }
}

function validateClass({ spec }: IngressClass): FieldError[] {
  const errors: FieldError[] = []
  const controller = spec?.controller ?? ''
  if (controller.length > LONGEST_CONTROLLER) errors.push(tooLong('spec.controller', LONGEST_CONTROLLER))
  validateController(controller, errors)
  if (spec?.parameters) validateParameters(spec.parameters, errors)
  return errors
}

function validateController(controller: string, errors: FieldError[]): void {
  if (controller === '') {
    errors.push(required('spec.controller'))
    return
  }
  const slash = controller.indexOf('/')
  const [host, path] = [controller.slice(0, Math.max(slash, 0)), controller.slice(slash + 1)]
  if (host === '' || path === '') {
    const said = 'must be a domain-prefixed path (such as "acme.io/foo")'
    errors.push(invalidValue('spec.controller', controller, said))
    return
  }
  for (const said of dns1123Subdomain(host)) errors.push(invalidValue('spec.controller', host, said))
  for (const said of httpPath(path)) errors.push(invalidValue('spec.controller', path, said))
}

function validateParameters(parameters: IngressClassParametersReference, errors: FieldError[]): void {
  const path = 'spec.parameters'
  validateReference(parameters, path, errors)
  const { scope, namespace } = parameters
  if (scope === undefined) errors.push(required(`${path}.scope`))
  else if (!SCOPES.includes(scope)) errors.push(notSupported(`${path}.scope`, scope, SCOPES))
  else if (scope === 'Cluster') {
    if (namespace !== undefined) errors.push(forbidden(`${path}.namespace`, "`parameters.scope` is set to 'Cluster'"))
  } else if (namespace === undefined) {
    errors.push(required(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'"))
  } else for (const said of dns1123Label(namespace)) errors.push(invalidValue(`${path}.namespace`, namespace, said))
}
