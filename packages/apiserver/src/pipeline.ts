/**
 * What every request goes through once its user is known, whichever door it came in by: impersonation, authorization,
 * then the verb. In-process callers and HTTPS clients differ in how bytes become calls, and in nothing else.
 */
import type { UserInfo } from '@caisson/api'
import type { Attributes, Authorize } from './authz/attributes.ts'
import { forbidden } from './authz/attributes.ts'
import type { Resource } from './registry/resource.ts'
import { StatusError } from './status-error.ts'
import type { AcceptedWatch, Answer, Call, RequestInfo } from './verbs/call.ts'
import { dispatch, dispatchWatch, findResource } from './verbs/dispatch.ts'
import type { Environment } from './verbs/environment.ts'
import { methodNotServed } from './verbs/errors.ts'

/** Answers a path that is no resource: `/version`, `/api`, `/openapi/v2` … */
export type PathHandler = (call: Call) => Answer | Promise<Answer>

export interface Pipeline {
  environment: Environment
  authorize: Authorize
  /** The user that the request acts as. Throws Forbidden where the real one may not. */
  impersonate(user: UserInfo, headers: Headers): UserInfo
  /** The handler of a path that is no resource. */
  findPath(path: string): PathHandler | undefined
  /** Bytes of a Pod's log, for callers in the process. Throws a StatusError. */
  stream(call: Call, search: string, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
  /** What a write of objects of the kind works with. */
  environmentFor(resource: Resource): Environment
  /** Counts an answered call. */
  observe(call: Call, code: number, milliseconds: number): void
  /** Counts a long-running call until what is returned is called. */
  begin(call: Call): () => void
}

/** In lower case, as Node gives them. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

export type Outcome = { answer: Answer } | { watch: AcceptedWatch }

const NOT_FOUND: Answer = Object.freeze({ status: 404, body: '404 page not found\n' })

/** Authorises and runs one call. Everything that a client may be told is thrown as a StatusError. */
export async function run(pipeline: Pipeline, call: Call): Promise<Outcome> {
  authorizeCall(pipeline, call)
  const { environment } = pipeline
  if (!call.info.isResource) return { answer: await runPath(pipeline, call) }
  if (!hasGroup(environment, call.info)) return { answer: NOT_FOUND }
  const resource = findResource(call, environment)
  warnOfDeprecation(resource, call)
  if (call.info.verb === 'watch') return { watch: dispatchWatch(call, resource, environment) }
  const reads = call.info.verb === 'get' || call.info.verb === 'list'
  return { answer: await dispatch(call, resource, reads ? environment : pipeline.environmentFor(resource)) }
}

/** Below its own groups kube-apiserver answers with a Status, below those that nobody has defined with plain text. */
function hasGroup({ registry }: Environment, { group, version }: RequestInfo): boolean {
  if (registry.hasGroupVersion(group, version)) return true
  return registry.all().some((resource) => resource.group === group && !resource.custom)
}

export function authorizeCall({ authorize }: Pipeline, call: Call): void {
  const attributes = attributesOf(call.info, call.user)
  const { allowed, reason } = authorize(attributes)
  if (!allowed) throw forbidden(attributes, reason)
}

export function attributesOf(info: RequestInfo, user: UserInfo): Attributes {
  if (!info.isResource) return { user, verb: info.verb, path: info.path }
  return {
    user,
    verb: info.verb,
    group: info.group,
    resource: info.resource,
    ...(info.subresource && { subresource: info.subresource }),
    ...(info.namespace && { namespace: info.namespace }),
    ...((info.name || info.selectedName) && { name: info.name || (info.selectedName ?? '') }),
    ...(info.fieldSelector && { fieldSelector: info.fieldSelector }),
  }
}

async function runPath(pipeline: Pipeline, call: Call): Promise<Answer> {
  const handler = pipeline.findPath(call.info.path)
  if (!handler) return NOT_FOUND
  if (call.method !== 'GET' && call.method !== 'HEAD') throw methodNotServed()
  return await handler(call)
}

function warnOfDeprecation(resource: Resource, call: Call): void {
  if (resource.deprecationWarning !== undefined) call.warnings.push(resource.deprecationWarning)
}

/** What a client is told of any failure. Nothing of an unexpected one but that it happened. */
export function toStatusError(error: unknown, report: (error: unknown) => void): StatusError {
  if (error instanceof StatusError) return error
  report(error)
  return new StatusError('InternalError', 'an error on the server has prevented the request from succeeding', {
    details: {},
    cause: error,
  })
}
