/** `pods/eviction`: a deletion that asks the Pod's disruption budget first, in the same transaction. */
import { type Condition, type KubeObject, mergeConditions } from '@caisson/api'
import type { Resource } from '../../registry/resource.ts'
import { decodeNative } from '../../schema/native.ts'
import type { Answer, Call } from '../call.ts'
import { checkPreconditions, deleteIn } from '../delete.ts'
import { deleteOptions } from '../delete-options.ts'
import type { Environment, Subresource } from '../environment.ts'
import { badRequest, notFound } from '../errors.ts'
import { writeOptions } from '../options.ts'
import { admitCreated } from './admit-created.ts'
import { decodeInto } from './decode-into.ts'
import { spendBudget } from './disruption-budget.ts'

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
  const dryRun = given.dryRun || options.dryRun
  await environment.store.write((transaction) => {
    const { namespace } = call.info
    const pod = transaction.get('pods', namespace, name)
    if (!pod) throw notFound(resource, name)
    admitCreated(transaction, { call, resource, environment, object: eviction, name, dryRun })
    checkPreconditions(pod, resource, given)
    const now = environment.now()
    spendBudget(transaction, pod, { dryRun, now })
    if (!dryRun) transaction.put('pods', disrupted(pod, now))
    // The state that was asked about is the one that goes.
    const { resourceVersion: _asked, ...preconditions } = given.preconditions
    deleteIn(transaction, { call, resource, environment, options: { ...given, preconditions, dryRun }, name })
  }, call.share)
  return {
    status: 201,
    body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
  }
}

/** Says on the Pod why it goes. */
function disrupted(pod: KubeObject, now: number): KubeObject {
  const status = (pod.status ?? {}) as { conditions?: Condition[] }
  const why = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
  } as const
  const conditions = mergeConditions(status.conditions, [why], { now })
  return { ...pod, metadata: { ...pod.metadata }, status: { ...status, conditions } }
}
