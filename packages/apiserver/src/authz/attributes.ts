/** What a request wants to do, in the terms in which authorization decides. */
import type { UserInfo } from '@caisson/api'
import { goQuote } from '../registry/field-error.ts'
import { StatusError } from '../status-error.ts'

export interface ResourceAttributes {
  user: UserInfo
  /** Lower case: get, list, watch, create, update, patch, delete, deletecollection, or a special one such as `bind`. */
  verb: string
  group: string
  resource: string
  subresource?: string
  /** Empty or absent at the cluster scope. */
  namespace?: string
  /** Absent where the request names no object (list, create). */
  name?: string
  /** Of a request for a collection, as it was sent. */
  fieldSelector?: string
}

interface NonResourceAttributes {
  user: UserInfo
  /** The HTTP method in lower case. */
  verb: string
  path: string
}

export type Attributes = ResourceAttributes | NonResourceAttributes

export interface Decision {
  allowed: boolean
  /** Why; empty where nothing but the absence of a permission decided. */
  reason: string
}

export type Authorize = (attributes: Attributes) => Decision

/** The 403 that kube-apiserver answers to a request that nothing allows. */
export function forbidden(attributes: Attributes, reason: string): StatusError {
  const because = reason === '' ? '' : `: ${reason}`
  const sentence = `${htmlSafe(denial(attributes))}${because}`
  if ('path' in attributes) return new StatusError('Forbidden', `forbidden: ${sentence}`, { details: {} })
  return forbiddenObject(attributes, sentence)
}

/** The 403 that says `resource.group "name" is forbidden: …`. */
export function forbiddenObject(
  { group, resource, name }: { group: string; resource: string; name?: string | undefined },
  sentence: string,
): StatusError {
  const qualified = group === '' ? resource : `${resource}.${group}`
  const named = name ? `${qualified} ${goQuote(name)}` : qualified
  // A path such as /api/v1//pods is a request for a resource without a name.
  const subject = qualified === '' ? 'forbidden' : `${named} is forbidden`
  return new StatusError('Forbidden', `${subject}: ${sentence}`, {
    details: {
      ...(name && { name }),
      ...(group !== '' && { group }),
      ...(resource !== '' && { kind: resource }),
    },
  })
}

function denial(attributes: Attributes): string {
  const who = `User ${goQuote(attributes.user.username)} cannot ${attributes.verb}`
  if ('path' in attributes) return `${who} path ${goQuote(attributes.path)}`
  const { group, namespace } = attributes
  const what = `${who} resource ${goQuote(combinedResource(attributes))} in API group ${goQuote(group)}`
  return namespace ? `${what} in the namespace ${goQuote(namespace)}` : `${what} at the cluster scope`
}

/** `pods`, or `pods/exec`. */
export function combinedResource({ resource, subresource }: { resource: string; subresource?: string }): string {
  return subresource ? `${resource}/${subresource}` : resource
}

// A browser that is shown the message must not find markup in it.
function htmlSafe(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
