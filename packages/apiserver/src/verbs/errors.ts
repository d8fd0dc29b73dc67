/** The failures of the verbs, in the words and with the details of kube-apiserver. */
import { resourceKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { type FieldError, invalid, StatusError } from '../status-error.ts'

type Named = Pick<Resource, 'group' | 'plural'>

function details(resource: Named, name: string) {
  return { ...(name && { name }), ...(resource.group && { group: resource.group }), kind: resource.plural }
}

export function notFound(resource: Named, name: string): StatusError {
  return new StatusError('NotFound', `${resourceKey(resource)} ${quoted(name)} not found`, {
    details: details(resource, name),
  })
}

export function alreadyExists(resource: Named, name: string): StatusError {
  return new StatusError('AlreadyExists', `${resourceKey(resource)} ${quoted(name)} already exists`, {
    details: details(resource, name),
  })
}

/** @param why such as `OPTIMISTIC_LOCK` */
export function conflict(resource: Named, name: string, why: string): StatusError {
  return new StatusError(
    'Conflict',
    `Operation cannot be fulfilled on ${resourceKey(resource)} ${quoted(name)}: ${why}`,
    { details: details(resource, name) },
  )
}

export const OPTIMISTIC_LOCK =
  'the object has been modified; please apply your changes to the latest version and try again'

export function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', message)
}

/** What go-restful says for a method that a path does not have. */
export function methodNotServed(): StatusError {
  return new StatusError('MethodNotAllowed', 'the server does not allow this method on the requested resource', {
    details: {},
  })
}

/** For paths below a group version that is served. */
export function pathNotServed(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', { details: {} })
}

export function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  )
}

/** What go-restful answers where nothing that the client accepts can be written. */
export function notAcceptable(canWatch: boolean): StatusError {
  const available = canWatch ? [...FORMS, ...STREAMS] : FORMS
  return new StatusError('NotAcceptable', `406: Not Acceptable\n\nAvailable representations: ${available.join(', ')}`, {
    details: {},
  })
}

const FORMS = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']
const STREAMS = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch']

/** Where the types that the client accepts are served, but not in the form that it wants. */
export function formNotAcceptable(canStream = false): StatusError {
  const types = (canStream ? STREAMS : FORMS).join(', ')
  return new StatusError('NotAcceptable', `only the following media types are accepted: ${types}`)
}

export function tooManyValues(limit: number): StatusError {
  return new StatusError(
    'RequestEntityTooLarge',
    `Request entity too large: expected at most ${limit} fields and list items in one body, found more: store them in several objects`,
  )
}

export function tooLarge(limit: number): StatusError {
  return new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${limit}`)
}

export function expired(message: string): StatusError {
  return new StatusError('Expired', message)
}

export function invalidOptions(kind: string, errors: readonly FieldError[]): StatusError {
  return invalid({ group: 'meta.k8s.io', kind }, '', errors)
}

/** Go's `%q`, near enough for what can be in a name or a value here. */
export function quoted(text: string): string {
  return JSON.stringify(text)
}
