/** Objects as a server would have stored them, and the effect of a plan on them, for the tests of this folder. */
import type { ObjectMeta, OwnerReference, Sandbox, SandboxSnapshot, SandboxSpec, SandboxStatus } from '@caisson/api'
import type { PodCondition, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import type { Plan, Write } from '../engine/plan.ts'
import type { PersistentVolumeClaim, Pod, Service } from './objects.ts'
import type { ObservedSandbox } from './observed-sandbox.ts'
import { planSandbox } from './plan-sandbox.ts'

export const NOW = Date.parse('2026-01-01T12:00:00Z')
export const HASH = '70c67e32' // of the name `box`

interface SandboxOptions {
  metadata?: ObjectMeta
  spec?: Partial<SandboxSpec>
  status?: SandboxStatus
}

export function aSandbox({ metadata, spec, status }: SandboxOptions = {}): Sandbox {
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'box', namespace: 'ns', uid: 'sandbox-uid', resourceVersion: '10', generation: 3, ...metadata },
    spec: {
      operatingMode: 'Running',
      shutdownPolicy: 'Retain',
      podTemplate: { spec: { containers: [{ name: 'main', image: 'busybox' }] } },
      ...spec,
    },
    ...(status && { status }),
  }
}

export const OWNER: OwnerReference = {
  apiVersion: 'agents.x-k8s.io/v1beta1',
  kind: 'Sandbox',
  name: 'box',
  uid: 'sandbox-uid',
  controller: true,
  blockOwnerDeletion: true,
}

export const STRANGER: OwnerReference = {
  ...OWNER,
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: 'web',
  uid: 'web-uid',
}

export function aPod(metadata: ObjectMeta = {}, status: PodStatus = { phase: 'Pending' }, nodeName?: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'box',
      namespace: 'ns',
      uid: 'pod-uid',
      resourceVersion: '20',
      labels: { 'agents.x-k8s.io/sandbox-name-hash': HASH },
      ownerReferences: [OWNER],
      ...metadata,
    },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...(nodeName && { nodeName }) },
    status,
  }
}

export const SCHEDULED: PodCondition = { type: 'PodScheduled', status: 'True' }
export const POD_READY: PodCondition = { type: 'Ready', status: 'True' }

/** A Pod that runs, is ready and can be reached. */
export function aReadyPod(metadata: ObjectMeta = {}): Pod {
  const status = {
    phase: 'Running',
    conditions: [SCHEDULED, POD_READY],
    podIP: '10.0.0.5',
    podIPs: [{ ip: '10.0.0.5' }],
  }
  return aPod(metadata, status, 'node-1')
}

export function aService(metadata: ObjectMeta = {}, spec: object = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'box',
      namespace: 'ns',
      uid: 'service-uid',
      resourceVersion: '30',
      labels: { 'agents.x-k8s.io/sandbox-name-hash': HASH },
      ownerReferences: [OWNER],
      ...metadata,
    },
    spec: { clusterIP: 'None', selector: { 'agents.x-k8s.io/sandbox-name-hash': HASH }, ...spec },
  }
}

export function aClaim(metadata: ObjectMeta = {}): PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'data-box',
      namespace: 'ns',
      uid: 'claim-uid',
      resourceVersion: '40',
      labels: { 'agents.x-k8s.io/sandbox-name-hash': HASH },
      ownerReferences: [OWNER],
      ...metadata,
    },
    spec: {},
  }
}

interface ObservedOptions {
  sandbox?: Sandbox
  pods?: readonly Pod[]
  service?: Service
  claims?: readonly PersistentVolumeClaim[]
  failures?: ObservedSandbox['failures']
  source?: SandboxSnapshot
  memory?: SandboxSnapshot
}

export function observe({
  sandbox = aSandbox(),
  pods = [],
  service,
  claims = [],
  failures = [],
  source,
  memory,
}: ObservedOptions = {}): ObservedSandbox {
  return {
    sandbox,
    pods,
    service,
    claims: new Map(claims.map((claim) => [claim.metadata.name ?? '', claim])),
    failures,
    source,
    memory,
  }
}

export function plan(observed: ObservedSandbox, now = NOW): Plan<SandboxStatus> {
  return planSandbox(observed, now, { clusterDomain: 'cluster.local' })
}

/** `create Pod box`, for tables. */
export function writesOf(given: Plan<SandboxStatus>): string[] {
  return given.writes.map(({ id }) => id)
}

/** `Ready=False/DependenciesNotReady: Pod does not exist`, for tables. */
export function conditionsOf(given: Plan<SandboxStatus>): string[] {
  return (given.status?.conditions ?? []).map(
    ({ type, status, reason, message }) => `${type}=${status}/${reason}: ${message}`,
  )
}

/** What there would be after a plan's writes and its status, on a server that accepts everything and deletes at once. */
export function applied(observed: ObservedSandbox, given: Plan<SandboxStatus>): ObservedSandbox {
  const after = given.writes.reduce(applyWrite, observed)
  return given.status ? { ...after, sandbox: { ...after.sandbox, status: given.status } } : after
}

function applyWrite(observed: ObservedSandbox, write: Write): ObservedSandbox {
  const without = <T extends { metadata: ObjectMeta }>(objects: readonly T[], uid: string) =>
    objects.filter((object) => object.metadata.uid !== uid)
  if (write.verb === 'create') {
    const object = structuredClone(write.object)
    object.metadata = { ...object.metadata, uid: `${object.kind}-uid`, resourceVersion: '100' }
    if (object.kind === 'Pod') {
      return { ...observed, pods: [...observed.pods, { ...object, status: { phase: 'Pending' } } as Pod] }
    }
    if (object.kind === 'Service') return { ...observed, service: object as Service }
    const claims = new Map(observed.claims).set(object.metadata.name ?? '', object as PersistentVolumeClaim)
    return { ...observed, claims }
  }
  if (write.verb === 'delete') {
    const service = observed.service?.metadata.uid === write.uid ? undefined : observed.service
    return { ...observed, pods: without(observed.pods, write.uid), service }
  }
  const { uid } = write.patch.metadata
  const patched = <T extends { metadata: ObjectMeta }>(object: T): T =>
    object.metadata.uid === uid ? (merged(object, write.patch) as T) : object
  return {
    ...observed,
    sandbox: patched(observed.sandbox),
    pods: observed.pods.map(patched),
    service: observed.service && patched(observed.service),
    claims: new Map([...observed.claims].map(([name, claim]) => [name, patched(claim)])),
  }
}

/** RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result = new Map(Object.entries(typeof target === 'object' && target && !Array.isArray(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else result.set(key, merged(result.get(key), value))
  }
  return Object.fromEntries(result)
}
