/** `pods/eviction`: a deletion that asks first. Nothing here keeps disruption budgets, so nobody ever says no. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../../registry/resource.ts'
import { decodeNative } from '../../schema/native.ts'
import type { Answer, Call, Environment } from '../call.ts'
import { deleteIn } from '../delete.ts'
import { deleteOptions } from '../delete-options.ts'
import { badRequest } from '../errors.ts'
import { writeOptions } from '../options.ts'
import type { Subresource } from '../subresource.ts'
import { decodeInto } from './decode-into.ts'

interface Eviction extends KubeObject {
  deleteOptions?: object
}

export const POD_EVICTION: Subresource = {
  name: 'eviction',
  kind: 'Eviction',
  group: 'policy',
  version: 'v1',
  verbs: ['create'],
  handle: evict,
}

async function evict(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = writeOptions('CreateOptions', call.query, call.userAgent)
  const eviction = decodeInto(await call.readBody(), {
    kind: 'Eviction',
    apiVersion: 'policy/v1',
    decode: (value) => decodeNative('io.k8s.api.policy.v1.Eviction', value),
    call,
    options,
  }) as Eviction
  const { name } = call.info
  if (eviction.metadata.name !== name) throw badRequest('name in URL does not match name in Eviction object')
  const given = deleteOptions({ value: eviction.deleteOptions ?? {}, text: '', duplicates: [] }, {})
  await environment.store.write((transaction) =>
    deleteIn(transaction, {
      call,
      resource,
      environment,
      options: { ...given, dryRun: given.dryRun || options.dryRun },
      name,
    }),
  )
  return {
    status: 201,
    body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
  }
}
