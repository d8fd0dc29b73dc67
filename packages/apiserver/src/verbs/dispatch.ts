/** From what a request asks for to the verb that does it. */
import { resourceKey } from '../registry/registry.ts'
import type { Resource, Verb } from '../registry/resource.ts'
import type { AcceptedWatch, Answer, Call } from './call.ts'
import { readComputed } from './computed.ts'
import { create } from './create.ts'
import { deleteObject } from './delete.ts'
import { deleteCollection } from './delete-collection.ts'
import type { Environment } from './environment.ts'
import { badRequest, methodNotServed, notFound, pathNotServed } from './errors.ts'
import { get } from './get.ts'
import { list } from './list.ts'
import { patch } from './patch.ts'
import { update } from './update.ts'
import { createVirtual } from './virtual.ts'
import { acceptWatch } from './watch.ts'

type Handler = (call: Call, resource: Resource, environment: Environment) => Answer | Promise<Answer>

const HANDLERS: Readonly<Record<Exclude<Verb, 'watch'>, Handler>> = {
  get,
  list,
  create,
  update,
  patch,
  delete: deleteObject,
  deletecollection: deleteCollection,
}

/**
 * The kind that the path names, where it is served at all. Throws NotFound, also for a kind of the whole cluster below a
 * namespace: who has rights in that namespace was let through for it. A namespace alone is in itself, and no other is.
 */
export function findResource(call: Call, { registry }: Pick<Environment, 'registry'>): Resource {
  const { group, version, resource: plural, namespace, name } = call.info
  const resource = registry.find(group, version, plural)
  if (!resource) throw pathNotServed()
  const isItself = resourceKey(resource) === 'namespaces' && name === namespace
  if (!resource.namespaced && namespace !== '' && !isItself) throw pathNotServed()
  return resource
}

export function dispatch(call: Call, resource: Resource, environment: Environment): Answer | Promise<Answer> {
  const { verb, subresource, namespace, name } = call.info
  if (subresource !== '') return dispatchSubresource(call, resource, environment)
  // Of what is only asked there is one path, and no other.
  const asksOnly = resource.verbs.length === 1 && resource.verbs[0] === 'create'
  if (asksOnly && (name !== '' || (resource.namespaced && namespace === ''))) throw pathNotServed()
  const handler = HANDLERS[verb as keyof typeof HANDLERS]
  if (!handler || !resource.verbs.includes(verb as Verb)) throw methodNotServed()
  if (resource.namespaced && namespace === '') {
    if (verb === 'create' && resource.custom) throw badRequest('an empty namespace may not be set during creation')
    if (verb === 'create') throw methodNotServed()
    if (name !== '') throw pathNotServed()
    if (verb === 'deletecollection') throw methodNotServed()
  }
  if (call.method === 'POST' && name !== '') throw methodNotServed()
  if ((call.method === 'PUT' || call.method === 'PATCH') && name === '') throw methodNotServed()
  if (environment.virtual[resourceKey(resource)]) return createVirtual(call, resource, environment)
  if (environment.computed[resourceKey(resource)]) return readComputed(call, resource, environment)
  return handler(call, resource, environment)
}

export function dispatchWatch(call: Call, resource: Resource, environment: Environment): AcceptedWatch {
  if (!resource.verbs.includes('watch') || call.info.subresource !== '') throw methodNotServed()
  return acceptWatch(call, resource, environment)
}

function dispatchSubresource(call: Call, resource: Resource, environment: Environment): Answer | Promise<Answer> {
  const { subresource: name, verb, rest } = call.info
  const subresource = environment.subresources(resource).find((each) => each.name === name)
  if (!subresource?.handle || rest !== '') throw resource.custom ? notFound(resource, call.info.name) : pathNotServed()
  if (!subresource.verbs.includes(verb as Verb)) throw methodNotServed()
  return subresource.handle(call, resource, environment)
}
