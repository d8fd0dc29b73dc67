/** DELETE of everything that a selection matches. */
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { StatusError } from '../status-error.ts'
import type { Answer, Call, Environment } from './call.ts'
import { deleteIn } from './delete.ts'
import { deleteOptions } from './delete-options.ts'
import { listObjects } from './list.ts'
import { listOptions } from './list-options.ts'
import { fromStorage } from './versions.ts'

/** As many share one transaction; more would keep everybody else waiting. */
const BATCH = 500

/** Answers with the list of what was there. Not atomic: an error leaves deleted what was deleted before it. */
export async function deleteCollection(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = deleteOptions(await call.readBody(), call.query)
  const { objects, metadata } = listObjects(environment.store, resource, listOptions(call, resource, false))
  for (let start = 0; start < objects.length; start += BATCH) {
    const batch = objects.slice(start, start + BATCH)
    await environment.store.write((transaction) => {
      for (const object of batch) {
        const { name, namespace } = object.metadata
        try {
          deleteIn(transaction, { call, resource, environment, options, name: name as string, namespace })
        } catch (error) {
          if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error
        }
      }
    })
  }
  const items = objects.map((object) => fromStorage(resource, object))
  const body = { kind: resource.listKind, apiVersion: groupVersion(resource), metadata, items }
  return { status: 200, body, resource, list: true }
}
