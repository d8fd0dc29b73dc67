/** PUT: the whole object, or the whole object of which only `status` counts. */
import { trackUpdate } from '../patch/managed-fields.ts'
import type { Resource } from '../registry/resource.ts'
import type { Answer, Call, Environment } from './call.ts'
import { decodeObject } from './decode-object.ts'
import { writeOptions } from './options.ts'
import { dedupOwnerReferences } from './owner-references.ts'
import { updateIn } from './update-object.ts'
import { fromStorage } from './versions.ts'
import { writeContext } from './write-context.ts'

export async function update(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const { subresource } = call.info
  const options = writeOptions('UpdateOptions', call.query, call.userAgent)
  const object = decodeObject(resource, await call.readBody(), {
    fieldValidation: options.fieldValidation,
    warnings: call.warnings,
  })
  dedupOwnerReferences(object, call.warnings, false)
  const { object: stored, created } = await environment.store.write((transaction) =>
    updateIn(transaction, {
      call,
      resource,
      environment,
      options,
      subresource,
      allowCreate: false,
      expectedUid: object.metadata.uid,
      next(current) {
        const managedFields = trackUpdate(current, object, writeContext(resource, subresource, options, environment))
        if (managedFields) object.metadata.managedFields = managedFields
        else delete object.metadata.managedFields
        return object
      },
    }),
  )
  return { status: created ? 201 : 200, body: fromStorage(resource, stored), resource }
}
