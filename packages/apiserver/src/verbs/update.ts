/** PUT: the whole object, of which the rules say what counts. */
import { trackUpdate } from '../patch/managed-fields.ts'
import type { Resource } from '../registry/resource.ts'
import { deepCopy } from '../storage/freeze.ts'
import type { Answer, Call } from './call.ts'
import { expectedNamespace } from './create.ts'
import { decodeObject } from './decode-object.ts'
import type { Environment } from './environment.ts'
import { matchNamespace } from './metadata.ts'
import { writeOptions } from './options.ts'
import { dedupOwnerReferences } from './owner-references.ts'
import { checkName, updateIn } from './update-object.ts'
import { objectRules } from './update-rules.ts'
import { viewed } from './versions.ts'
import { writeContext } from './write-context.ts'

export async function update(
  call: Call,
  resource: Resource,
  environment: Environment,
  rules = objectRules(resource),
): Promise<Answer> {
  const options = writeOptions('UpdateOptions', call.query, call.userAgent)
  const object = decodeObject(resource, await call.readBody(), {
    registry: environment.registry,
    fieldValidation: options.fieldValidation,
    warnings: call.warnings,
  })
  matchNamespace(object.metadata, expectedNamespace(resource, call))
  checkName(object, call)
  dedupOwnerReferences(object, call.warnings, false)
  const { object: stored, created } = await environment.store.write(
    (transaction) =>
      updateIn(transaction, {
        call,
        resource,
        environment,
        options,
        rules,
        allowCreate: false,
        expectedUid: object.metadata.uid,
        next(current) {
          const next = environment.rehearses ? deepCopy(object) : object
          trackUpdate(current, next, writeContext(resource, call.info.subresource, options, environment))
          return next
        },
      }),
    call.share,
  )
  return { status: created ? 201 : 200, body: await viewed(resource, stored), resource }
}
