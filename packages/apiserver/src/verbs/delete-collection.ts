/** DELETE of everything that a selection matches. */
import type { KubeObject } from '@caisson/api'
import { TURN_MS } from '../fair-queue.ts'
import { groupVersion, storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import type { Transaction } from '../storage/store.ts'
import type { Answer, Call } from './call.ts'
import { type DeleteContext, deleteIn } from './delete.ts'
import { deleteOptions } from './delete-options.ts'
import type { Environment } from './environment.ts'
import { listObjects, listViewed } from './list.ts'
import { listOptions } from './list-options.ts'
import { viewsOf } from './versions.ts'

/** As many share one transaction, or as are done in a turn; more would keep everybody else waiting. */
const BATCH = 500

/** Answers with the list of what was there. Not atomic: an error leaves deleted what was deleted before it. */
export async function deleteCollection(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const body = await call.readBody()
  const selected = listOptions(call, resource, false)
  const options = deleteOptions(body, call.query)
  const { objects, metadata } = resource.conversion
    ? await listViewed(environment.store, resource, selected)
    : listObjects(environment.store, resource, selected)
  await deleteEach(objects, { call, resource, environment, options })
  const items = await viewsOf(resource, objects)
  if (resource.custom) metadata.continue ??= ''
  const list = { kind: resource.listKind, apiVersion: groupVersion(resource), metadata, items }
  return { status: 200, body: list, resource, list: true }
}

/** Everything there is of a kind whose definition goes away: past admission, which was asked about that. */
export async function deleteAll(resource: Resource, environment: Environment): Promise<void> {
  const options = deleteOptions(undefined, {})
  const objects = [...environment.store.list(storageKey(resource))]
  const unasked = { ...environment, admit: () => undefined }
  await deleteEach(objects, { call: systemCall(resource), resource, environment: unasked, options })
}

async function deleteEach(objects: readonly KubeObject[], context: Omit<DeleteContext, 'name'>): Promise<void> {
  const { environment } = context
  // A write that is rehearsed is one deletion, or each would be rehearsed as often as all of them together.
  const size = environment.rehearses ? 1 : BATCH
  for (let start = 0; start < objects.length; )
    start += await environment.store.write(
      (transaction) => deleteSome(transaction, objects.slice(start, start + size), context),
      context.call.share,
    )
}

/** Gives how many of them are done. */
function deleteSome(
  transaction: Transaction,
  objects: readonly KubeObject[],
  context: Omit<DeleteContext, 'name'>,
): number {
  const begun = performance.now()
  let done = 0
  for (const object of objects) {
    const { name, namespace } = object.metadata
    try {
      deleteIn(transaction, { ...context, name: name as string, namespace })
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error
    }
    done++
    if (performance.now() - begun >= TURN_MS) break
  }
  return done
}

function systemCall(resource: Resource): Call {
  return {
    info: {
      isResource: true,
      path: '',
      verb: 'delete',
      group: resource.group,
      version: resource.version,
      namespace: '',
      resource: resource.plural,
      subresource: '',
      name: '',
      rest: '',
    },
    method: 'DELETE',
    query: {},
    contentType: '',
    accept: undefined,
    userAgent: '',
    user: { username: 'system:apiserver', groups: ['system:masters'] },
    share: '',
    readBody: async () => undefined,
    warnings: [],
  }
}
