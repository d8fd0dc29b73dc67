/** Wires the Sandbox plan to caches: what it observes, and which changes have which Sandbox looked at. */
import {
  AGENTS_GROUP,
  ANNOTATIONS,
  controllerOf,
  EXTENSIONS_GROUP,
  type ObjectMeta,
  referenceGroup,
  type Sandbox,
  type SandboxSnapshot,
} from '@caisson/api'
import {
  type AnyObject,
  type Informer,
  type Informers,
  isNotFound,
  joinKey,
  keyOf,
  type Resource,
  sandboxClaims,
} from '@caisson/client'
import { type ComingClaims, createAfterClaims } from '../claim/after-claims.ts'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import { BY_SNAPSHOT, fromSnapshotKey, type SnapshotCaches } from '../snapshot/snapshot-caches.ts'
import { podNameOf } from './adoption.ts'
import { CLAIMS, type PersistentVolumeClaim, PODS, type Pod, SANDBOXES, SERVICES, type Service } from './objects.ts'
import type { ObservedSandbox } from './observed-sandbox.ts'
import { memoryName } from './plan-memory.ts'
import { planSandbox, type SandboxPlanOptions } from './plan-sandbox.ts'
import { claimName } from './plan-volume-claims.ts'

export interface SandboxCaches {
  sandboxes: Informer<Sandbox>
  pods: Informer<Pod>
  services: Informer<Service>
  claims: Informer<PersistentVolumeClaim>
}

/** Followed where they are served: without them nothing is kept and nothing is made from them. */
export type AllCaches = SandboxCaches & Pick<SnapshotCaches, 'snapshots'>

/** Index of Pods by the UID of their controller. */
const BY_CONTROLLER = 'controller'
/** Index of Sandboxes by the key of the Pod that an older controller recorded for them. */
const BY_POD_NAME = 'sandboxPodName'

/** @param sandboxes the resource in the version that the cluster serves */
export function sandboxCaches(informers: Informers, sandboxes: Resource<Sandbox> = SANDBOXES): SandboxCaches {
  return {
    sandboxes: informers.of(sandboxes, { indexers: { [BY_POD_NAME]: recordedPodKey } }),
    pods: informers.of(PODS, { indexers: { [BY_CONTROLLER]: controllerKey } }),
    services: informers.of(SERVICES),
    claims: informers.of(CLAIMS),
  }
}

export interface SandboxControllerOptions extends EngineOptions, SandboxPlanOptions {
  /** What is not urgent waits until they have paused. */
  claims?: ComingClaims
}

const NO_CLAIMS: ComingClaims = { coming: () => false, settled: () => Promise.resolve() }

/** A Pod's labels say within a second whose it is, ms. */
const LABELS_WAIT = 500

/** Starts at once; the caches must have synced, or Pods that exist would be made again. */
export function startSandboxController(
  caches: AllCaches,
  options: SandboxControllerOptions,
): AsyncDisposable & Pick<Engine, 'idle'> {
  const { sandboxes, pods, services, claims, snapshots } = caches
  sandboxes.addIndex(BY_SNAPSHOT, fromSnapshotKey)
  const { claims: coming = NO_CLAIMS } = options
  const engine = createEngine<Sandbox, ObservedSandbox>(
    {
      name: 'sandbox',
      informer: sandboxes,
      others: [pods, services, claims, snapshots],
      observe: (sandbox, failures) => ({
        ...observeSandbox(caches, sandbox, failures),
        claimsComing: coming.coming(),
      }),
      plan: (observed, now) => planSandbox(observed, now, options),
    },
    options,
  )
  const handedOver = createAfterClaims<string>({
    settled: coming.settled,
    longest: LABELS_WAIT,
    pass: (key) => engine.enqueue(key),
  })
  const handlers = [
    sandboxes.handle({
      added: (sandbox) => engine.enqueue(keyOf(sandbox)),
      updated(old, sandbox) {
        if (wasHandedOver(old, sandbox)) handedOver.add(keyOf(sandbox))
        else engine.enqueue(keyOf(sandbox))
      },
    }),
    pods.handle(
      each((pod: Pod) => {
        enqueueOwner(engine, pod)
        enqueueNamesake(engine, sandboxes, pod)
        for (const sandbox of sandboxes.byIndex(BY_POD_NAME, keyOf(pod))) engine.enqueue(keyOf(sandbox))
      }),
    ),
    services.handle(
      each((service: Service) => {
        enqueueOwner(engine, service)
        enqueueNamesake(engine, sandboxes, service)
      }),
    ),
    // Nothing about a claim that exists is of interest.
    claims.handle({ deleted: (claim) => enqueueOwner(engine, claim) }),
    snapshots.handle(
      each((snapshot: SandboxSnapshot) => {
        enqueueOwner(engine, snapshot)
        for (const sandbox of sandboxes.byIndex(BY_SNAPSHOT, keyOf(snapshot))) engine.enqueue(keyOf(sandbox))
      }),
    ),
  ]
  return {
    async idle() {
      await handedOver.settled()
      await engine.idle()
    },
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      await handedOver[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

/** Whether a Sandbox is a claim's that was not that claim's before. */
function wasHandedOver(before: Sandbox, after: Sandbox): boolean {
  const owner = controllerOf(after)
  if (owner?.kind !== sandboxClaims.kind || referenceGroup(owner) !== EXTENSIONS_GROUP) return false
  return owner.uid !== controllerOf(before)?.uid
}

/** Everything that the plan of a Sandbox depends on, from the caches. */
export function observeSandbox(
  caches: AllCaches,
  sandbox: Sandbox,
  failures: ObservedSandbox['failures'],
): ObservedSandbox {
  const { namespace, uid = '' } = sandbox.metadata
  const owned = caches.pods.byIndex(BY_CONTROLLER, joinKey(namespace, uid))
  const named = caches.pods.get(joinKey(namespace, podNameOf(sandbox)))
  const templates = sandbox.spec.volumeClaimTemplates ?? []
  const found = templates.flatMap((template) => {
    const name = claimName(template, sandbox)
    const claim = caches.claims.get(joinKey(namespace, name))
    return claim ? [[name, claim] as const] : []
  })
  return {
    sandbox,
    pods: named && !owned.includes(named) ? [...owned, named] : owned,
    service: caches.services.get(keyOf(sandbox)),
    claims: new Map(found),
    source: caches.snapshots.get(joinKey(namespace, sandbox.spec.fromSnapshot ?? '')),
    memory: caches.snapshots.get(joinKey(namespace, memoryName(sandbox))),
    snapshotsUnknown: whyUnknown(caches.snapshots),
    failures,
  }
}

function whyUnknown({ health: { synced, lastError } }: Informer<SandboxSnapshot>): string | undefined {
  return synced || isNotFound(lastError) ? undefined : (lastError?.message ?? 'they have not been read yet')
}

function each<T>(enqueue: (object: T) => void) {
  return {
    added: enqueue,
    updated(old: T, object: T) {
      // It may have changed hands.
      enqueue(old)
      enqueue(object)
    },
    deleted: enqueue,
  }
}

function enqueueOwner(engine: Engine, object: { metadata: ObjectMeta }): void {
  const owner = controllerOf(object)
  if (owner?.kind === SANDBOXES.kind && referenceGroup(owner) === AGENTS_GROUP) {
    engine.enqueue(joinKey(object.metadata.namespace, owner.name))
  }
}

/** A stranger with a Sandbox's name stands in its way, and its going clears it. */
function enqueueNamesake(engine: Engine, sandboxes: Informer<Sandbox>, object: { metadata: ObjectMeta }): void {
  const key = keyOf(object)
  if (sandboxes.get(key)) engine.enqueue(key)
}

/** NAMESPACE/UID: nothing is owned by what is in another namespace, whatever UID it names. */
function controllerKey(object: AnyObject): string[] {
  const owner = controllerOf(object)
  return owner ? [joinKey(object.metadata.namespace, owner.uid)] : []
}

function recordedPodKey({ metadata }: AnyObject): string[] {
  const name = metadata.annotations?.[ANNOTATIONS.podName]
  return name ? [joinKey(metadata.namespace, name)] : []
}
