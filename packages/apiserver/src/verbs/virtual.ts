/** POST of a kind that is a question: it is answered, and nothing is stored. */
import { trackUpdate } from '../patch/managed-fields.ts'
import { resourceKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Answer, Call } from './call.ts'
import { expectedNamespace } from './create.ts'
import { decodeObject } from './decode-object.ts'
import type { Environment } from './environment.ts'
import { methodNotServed } from './errors.ts'
import { matchNamespace, wipeSystemFields } from './metadata.ts'
import { writeOptions } from './options.ts'
import { writeContext } from './write-context.ts'

export async function createVirtual(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const answer = environment.virtual[resourceKey(resource)]
  if (!answer || call.info.verb !== 'create') throw methodNotServed()
  const options = writeOptions('CreateOptions', call.query, call.userAgent)
  const object = decodeObject(resource, await call.readBody(), {
    registry: environment.registry,
    fieldValidation: options.fieldValidation,
    warnings: call.warnings,
  })
  wipeSystemFields(object.metadata)
  matchNamespace(object.metadata, expectedNamespace(resource, call))
  trackUpdate(undefined, object, writeContext(resource, '', options, environment))
  return { status: 201, body: await answer(object, call, environment), resource }
}
