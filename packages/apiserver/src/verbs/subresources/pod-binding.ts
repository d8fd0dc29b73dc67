/** `pods/binding`: the scheduler's decision, in one write. */
import type { Condition, KubeObject } from '@caisson/api'
import type { Pod as CorePod } from 'kubernetes-types/core/v1.js'
import { validateAnnotationUpdate } from '../../registry/builtin/pod-annotations.ts'
import { required } from '../../registry/field-error.ts'
import type { Resource } from '../../registry/resource.ts'
import { decodeNative } from '../../schema/native.ts'
import { type FieldError, invalid, StatusError } from '../../status-error.ts'
import type { Answer, Call } from '../call.ts'
import type { Environment, Subresource } from '../environment.ts'
import { badRequest, conflict, notFound, OPTIMISTIC_LOCK, pathNotServed } from '../errors.ts'
import { timestamp } from '../metadata.ts'
import { refuseTooLarge } from '../object-size.ts'
import { writeOptions } from '../options.ts'
import { uidPrecondition } from '../update-object.ts'
import { admitCreated } from './admit-created.ts'
import { decodeInto } from './decode-into.ts'

const DEFINITION = 'io.k8s.api.core.v1.Binding'
const BINDINGS = { group: '', plural: 'pods/binding' }

interface Binding extends KubeObject {
  target: { kind?: string; name?: string }
}

interface Pod extends KubeObject {
  spec: { nodeName?: string; schedulingGates?: unknown[] }
  status?: { conditions?: Condition[]; nominatedNodeName?: string }
}

export const POD_BINDING: Subresource = {
  name: 'binding',
  kind: 'Binding',
  verbs: ['create'],
  handle: bind,
}

async function bind(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = writeOptions('CreateOptions', call.query, call.userAgent)
  const binding = decodeInto(await call.readBody(), {
    kind: 'Binding',
    apiVersion: 'v1',
    decode: (value) => decodeNative(DEFINITION, value),
    call,
    options,
  }) as Binding
  if (binding.metadata.name !== call.info.name) throw badRequest('name in URL does not match name in Binding object')
  const { name } = call.info
  const body = await assign(binding, { call, admitted: resource, name, resource, environment, dryRun: options.dryRun })
  return { status: 201, body }
}

/** `bindings`: the same for who names the Pod in the Binding alone. */
export const BINDING_KIND: Resource = {
  group: '',
  version: 'v1',
  kind: 'Binding',
  listKind: 'BindingList',
  plural: 'bindings',
  singular: 'binding',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: ['create'],
  storageVersion: 'v1',
  schema: { $ref: DEFINITION },
  decode: (value) => decodeNative(DEFINITION, value),
  strategy: {},
  columns: [],
  selectableFields: {},
  status: false,
  structural: true,
}

/** What answers a Binding that was posted as such. */
export async function answerBinding(object: KubeObject, call: Call, environment: Environment): Promise<KubeObject> {
  const { dryRun } = writeOptions('CreateOptions', call.query, call.userAgent)
  const { name = '' } = object.metadata
  if (name === '') throw badRequest('Name parameter required.')
  const resource = environment.registry.find('', 'v1', 'pods')
  if (!resource) throw pathNotServed()
  const admitted = BINDING_KIND
  return await assign(object as Binding, { call, admitted, name, resource, environment, dryRun })
}

interface Assignment {
  call: Call
  /** What the Binding is created as, or below. */
  admitted: Resource
  name: string
  /** Pods. */
  resource: Resource
  environment: Environment
  dryRun: boolean
}

async function assign(
  binding: Binding,
  { call, admitted, name, resource, environment, dryRun }: Assignment,
): Promise<KubeObject> {
  validate(binding)
  await environment.store.write((transaction) => {
    const pod = transaction.get('pods', call.info.namespace, name) as Pod | undefined
    if (!pod) throw notFound(resource, name)
    admitCreated(transaction, { call, resource: admitted, environment, object: binding, name, dryRun })
    checkPreconditions(pod, binding, resource)
    if (pod.metadata.deletionTimestamp !== undefined)
      throw conflict(BINDINGS, name, `pod ${name} is being deleted, cannot be assigned to a host`)
    if (pod.spec.nodeName)
      throw conflict(BINDINGS, name, `pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`)
    if (pod.spec.schedulingGates?.length)
      throw conflict(BINDINGS, name, `pod ${name} has non-empty .spec.schedulingGates`)
    const next = bound(pod, binding, environment.now())
    refuseAnnotations(next, pod)
    refuseTooLarge(next, pod)
    if (!dryRun) transaction.put('pods', next)
  }, call.share)
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } as unknown as KubeObject
}

function validate({ target }: Binding): void {
  // kube-apiserver answers these as plain errors, without a reason.
  const { kind, name } = target
  const errors: string[] = []
  if (kind && kind !== 'Node')
    errors.push(`target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`)
  if (!name) errors.push(`target.name: ${required('').message}`)
  if (errors.length > 0)
    throw new StatusError('Unknown', errors.length === 1 ? (errors[0] as string) : `[${errors.join(', ')}]`)
}

function checkPreconditions(pod: Pod, { metadata }: Binding, resource: Resource): void {
  const name = pod.metadata.name as string
  if (metadata.uid && metadata.uid !== pod.metadata.uid)
    throw conflict(resource, name, uidPrecondition(resource, pod, metadata.uid))
  if (metadata.resourceVersion && metadata.resourceVersion !== pod.metadata.resourceVersion)
    throw conflict(resource, name, OPTIMISTIC_LOCK)
}

/** Ours: what an update may not do to a Pod that was admitted, a binding may not either. */
function refuseAnnotations(next: KubeObject, current: KubeObject): void {
  const errors: FieldError[] = []
  validateAnnotationUpdate(next as CorePod, current as CorePod, errors)
  if (errors.length > 0) throw invalid({ group: '', kind: 'Pod' }, current.metadata.name ?? '', errors)
}

function bound(pod: Pod, { metadata, target }: Binding, now: number): KubeObject {
  const { annotations = {}, labels = {} } = metadata
  const { nominatedNodeName: _, ...status } = pod.status ?? {}
  const others = (status.conditions ?? []).filter(({ type }) => type !== 'PodScheduled')
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      ...(Object.keys(annotations).length > 0 && { annotations: { ...pod.metadata.annotations, ...annotations } }),
      ...(Object.keys(labels).length > 0 && { labels: { ...pod.metadata.labels, ...labels } }),
    },
    spec: { ...pod.spec, nodeName: target.name },
    status: {
      ...status,
      conditions: [
        ...others,
        { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp(now) },
      ],
    },
  }
}
