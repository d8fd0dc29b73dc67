/** What a node may write: its own Node and Lease, and the Pods that run on it. */
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '@caisson/api'
import { nodeOf } from '../authz/node-authorizer.ts'
import { goQuote } from '../registry/field-error.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { notFound } from '../verbs/errors.ts'
import { allContainers, list, type PodSpec, specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'
import { isMirror } from './service-account.ts'

const NODE_LEASES = 'kube-node-lease'

/** Refuses what a node has no business with. Users that are no nodes pass. */
export function restrictNode(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const node = nodeOf(request.user)
  if (node === undefined || request.operation === 'CONNECT') return
  if (node === '') {
    throw refuse(request, `could not determine node from user ${goQuote(request.user.username)}`)
  }
  const { group, plural } = request.resource
  switch (group === '' ? plural : `${plural}.${group}`) {
    case 'pods':
      return restrictPod(request, node, store)
    case 'nodes':
      return restrictNodeObject(request, node)
    case 'persistentvolumeclaims':
      return restrictClaim(request, node)
    case 'serviceaccounts':
      return restrictToken(request, node, store)
    case 'leases.coordination.k8s.io':
      return restrictLease(request, node)
    case 'sandboxsnapshots.caisson.dev':
      return restrictSnapshot(request, node)
    case 'csinodes.storage.k8s.io':
      if (request.name !== node)
        throw refuse(request, `can only access CSINode with the same name as the requesting node`)
      return
    default:
  }
}

function restrictPod(request: AdmissionRequest, node: string, store: Pick<Store, 'get'>): void {
  const { operation, subresource, object, oldObject } = request
  const me = goQuote(node)
  if (subresource === 'status') {
    if (operation !== 'UPDATE') throw refuse(request, `unexpected operation ${goQuote(operation)}`)
    if (!oldObject || specOf(oldObject).nodeName !== node) {
      throw refuse(request, `node ${me} can only update pod status for pods with spec.nodeName set to itself`)
    }
    if (!isDeepStrictEqual(oldObject.metadata.labels ?? {}, object?.metadata.labels ?? {})) {
      throw refuse(request, `node ${me} cannot update labels through pod status`)
    }
    return
  }
  if (subresource === 'eviction') {
    const pod = existingPod(request, request.name || (object?.metadata.name ?? ''), store)
    if (specOf(pod).nodeName === node) return
    throw refuse(request, `node ${node} can only evict pods with spec.nodeName set to itself`)
  }
  if (subresource !== '') {
    const only = "only 'status' and 'eviction' are allowed"
    throw refuse(request, `unexpected pod subresource ${goQuote(subresource)}, ${only}`)
  }
  if (operation === 'DELETE') {
    const pod = oldObject ?? existingPod(request, request.name, store)
    if (specOf(pod).nodeName === node) return
    throw refuse(request, `node ${me} can only delete pods with spec.nodeName set to itself`)
  }
  if (operation === 'CREATE' && object) return restrictMirror(request, object, { node, store })
  throw refuse(request, `unexpected operation ${goQuote(operation)}, node ${me} can only create and delete mirror pods`)
}

/** Ours: a node says of the snapshots that were given to it how they are, and lets them go; whose they are is not its to say. */
function restrictSnapshot(request: AdmissionRequest, node: string): void {
  const { object, oldObject } = request
  const nodeNameOf = (snapshot: KubeObject | undefined): unknown =>
    (snapshot?.['status'] as { nodeName?: unknown } | undefined)?.nodeName
  if (nodeNameOf(oldObject) !== node || nodeNameOf(object) !== node) {
    throw refuse(request, `node ${goQuote(node)} can only update snapshots with status.nodeName set to itself`)
  }
  for (const field of ['labels', 'annotations', 'ownerReferences'] as const) {
    if (isDeepStrictEqual(oldObject?.metadata[field], object?.metadata[field])) continue
    throw refuse(request, `node ${goQuote(node)} cannot update ${field} of snapshots`)
  }
}

function existingPod({ namespace }: AdmissionRequest, name: string, store: Pick<Store, 'get'>): KubeObject {
  const pod = store.get('pods', namespace, name)
  if (!pod) throw notFound({ group: '', plural: 'pods' }, name)
  return pod
}

function restrictMirror(
  request: AdmissionRequest,
  pod: KubeObject,
  { node, store }: { node: string; store: Pick<Store, 'get'> },
): void {
  const me = goQuote(node)
  if (!isMirror(pod)) {
    throw refuse(
      request,
      `pod does not have "kubernetes.io/config.mirror" annotation, node ${me} can only create mirror pods`,
    )
  }
  const spec = specOf(pod)
  if (spec.nodeName !== node) throw refuse(request, `node ${me} can only create pods with spec.nodeName set to itself`)
  const [owner, ...more] = pod.metadata.ownerReferences ?? []
  if (more.length > 0) {
    throw refuse(request, `node ${me} can only create pods with a single owner reference set to itself`)
  }
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    throw refuse(request, `node ${me} can only create pods with an owner reference set to itself`)
  }
  if (!owner.controller) {
    throw refuse(request, `node ${me} can only create pods with a controller owner reference set to itself`)
  }
  if (owner.blockOwnerDeletion) {
    throw refuse(request, `node ${me} must not set blockOwnerDeletion on an owner reference`)
  }
  const self = store.get('nodes', undefined, node)
  if (!self) throw notFound({ group: '', plural: 'nodes' }, node)
  if (owner.uid !== self.metadata.uid) {
    throw refuse(request, `node ${node} UID mismatch: expected ${owner.uid} got ${self.metadata.uid}`)
  }
  const referenced = referencedObject(spec)
  if (referenced) throw refuse(request, `node ${me} can not create pods that reference ${referenced}`)
}

/** What a Pod refers to, in the plural; undefined where it stands alone. */
function referencedObject(spec: PodSpec): string | undefined {
  if (spec.serviceAccountName) return 'serviceaccounts'
  if (list(spec.imagePullSecrets).length > 0) return 'secrets'
  for (const { env, envFrom } of allContainers(spec)) {
    for (const { valueFrom } of list(env)) {
      if (valueFrom?.secretKeyRef) return 'secrets'
      if (valueFrom?.configMapKeyRef) return 'configmaps'
    }
    for (const { secretRef, configMapRef } of list(envFrom)) {
      if (secretRef) return 'secrets'
      if (configMapRef) return 'configmaps'
    }
  }
  // The sources that read nothing from the API server; all others are refused, those of the future too.
  const standalone = ['name', 'emptyDir', 'hostPath', 'downwardAPI', 'image', 'gitRepo', 'nfs']
  for (const volume of list(spec.volumes)) {
    const source = Object.keys(volume).find((key) => !standalone.includes(key))
    if (source) return VOLUME_RESOURCES.get(source) ?? `${source} volumes`
  }
  return list((spec as { resourceClaims?: unknown[] }).resourceClaims).length > 0 ? 'resourceclaims' : undefined
}

const VOLUME_RESOURCES: ReadonlyMap<string, string> = new Map([
  ['secret', 'secrets'],
  ['configMap', 'configmaps'],
  ['persistentVolumeClaim', 'persistentvolumeclaims'],
  ['ephemeral', 'persistentvolumeclaims'],
])

function restrictNodeObject(request: AdmissionRequest, node: string): void {
  const { operation, name, object, oldObject } = request
  const me = goQuote(node)
  const asked = name || (object?.metadata.name ?? '')
  if (asked !== node) throw refuse(request, `node ${me} is not allowed to modify node ${goQuote(asked)}`)
  if (!object) return
  const spec = (object.spec ?? {}) as { configSource?: unknown; taints?: unknown[] }
  const before = (oldObject?.spec ?? {}) as typeof spec
  if (operation === 'CREATE' && spec.configSource) {
    throw refuse(request, `node ${me} is not allowed to create pods with a non-nil configSource`)
  }
  if (operation === 'UPDATE') {
    if (spec.configSource && !isDeepStrictEqual(spec.configSource, before.configSource)) {
      throw refuse(request, `node ${me} is not allowed to update configSource to a new non-nil configSource`)
    }
    if (!isDeepStrictEqual(list(spec.taints), list(before.taints))) {
      throw refuse(request, `node ${me} is not allowed to modify taints`)
    }
    if (!isDeepStrictEqual(object.metadata.ownerReferences ?? [], oldObject?.metadata.ownerReferences ?? [])) {
      throw refuse(request, `node ${me} is not allowed to modify ownerReferences`)
    }
  }
  const labels = changedLabels(object.metadata.labels ?? {}, oldObject?.metadata.labels ?? {}).filter(isReservedLabel)
  if (labels.length === 0) return
  throw refuse(
    request,
    operation === 'CREATE'
      ? `node ${me} is not allowed to set the following labels: ${labels.join(', ')}`
      : `is not allowed to modify labels: ${labels.join(', ')}`,
  )
}

function changedLabels(after: Record<string, string>, before: Record<string, string>): string[] {
  const read = (labels: Record<string, string>, key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  const keys = new Set([...Object.keys(after), ...Object.keys(before)])
  return [...keys].filter((key) => read(after, key) !== read(before, key)).sort()
}

/** The labels of Kubernetes' own that a kubelet sets. */
const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
])

/** Labels by which a node could steer others' Pods to itself. */
function isReservedLabel(label: string): boolean {
  const slash = label.indexOf('/')
  const domain = slash === -1 ? '' : label.slice(0, slash)
  const within = (parent: string) => domain === parent || domain.endsWith(`.${parent}`)
  if (within('node-restriction.kubernetes.io')) return true
  if (!within('kubernetes.io') && !within('k8s.io')) return false
  return !KUBELET_LABELS.has(label) && !within('kubelet.kubernetes.io') && !within('node.kubernetes.io')
}

function restrictClaim(request: AdmissionRequest, node: string): void {
  const { operation, subresource, object, oldObject } = request
  if (subresource !== 'status') throw refuse(request, 'may only update PVC status')
  if (operation !== 'UPDATE' || !object || !oldObject) {
    throw refuse(request, `unexpected operation ${goQuote(operation)}`)
  }
  if (isDeepStrictEqual(withoutSize(object), withoutSize(oldObject))) return
  throw refuse(
    request,
    `node ${goQuote(node)} is not allowed to update fields other than status.quantity and status.conditions`,
  )
}

function withoutSize({ metadata, ...rest }: KubeObject): unknown {
  const { resourceVersion: _version, managedFields: _fields, ...kept } = metadata
  const {
    capacity: _capacity,
    conditions: _conditions,
    allocatedResources: _allocated,
    allocatedResourceStatuses: _statuses,
    ...status
  } = (rest.status ?? {}) as Record<string, unknown>
  return { ...rest, metadata: kept, status }
}

interface BoundReference {
  apiVersion?: string
  kind?: string
  name?: string
  uid?: string
}

/** A node may ask for the tokens of Pods that run on it, for audiences which those mount. */
function restrictToken(request: AdmissionRequest, node: string, store: Pick<Store, 'get'>): void {
  const { operation, subresource, object } = request
  if (operation !== 'CREATE' || subresource !== 'token') return
  const spec = (object?.spec ?? {}) as { boundObjectRef?: BoundReference; audiences?: string[] }
  const bound = spec.boundObjectRef ?? {}
  if (bound.apiVersion !== 'v1' || bound.kind !== 'Pod' || !bound.name) {
    throw refuse(request, 'node requested token not bound to a pod')
  }
  if (!bound.uid) throw refuse(request, 'node requested token with a pod binding without a uid')
  const pod = existingPod(request, bound.name, store)
  if (bound.uid !== pod.metadata.uid) {
    throw refuse(
      request,
      `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  }
  if (specOf(pod).nodeName !== node) {
    throw refuse(request, 'node requested token bound to a pod scheduled on a different node')
  }
  const audiences = list(spec.audiences)
  if (audiences.length > 1) throw refuse(request, 'node may only request 0 or 1 audiences')
  const audience = audiences[0] ?? ''
  const mounted = list(specOf(pod).volumes).some(({ projected }) =>
    list(projected?.sources).some(
      ({ serviceAccountToken }) => serviceAccountToken && (serviceAccountToken.audience ?? '') === audience,
    ),
  )
  if (mounted) return
  throw refuse(
    request,
    `audience ${goQuote(audience)} not found in pod spec volume, ${request.user.username} is not authorized to request tokens for this audience`,
  )
}

function restrictLease(request: AdmissionRequest, node: string): void {
  const { namespace, name, object } = request
  if (namespace !== NODE_LEASES) {
    throw refuse(request, `can only access leases in the ${goQuote(NODE_LEASES)} system namespace`)
  }
  const asked = name || (object?.metadata.name ?? '')
  if (asked !== node) throw refuse(request, 'can only access node lease with the same name as the requesting node')
}
