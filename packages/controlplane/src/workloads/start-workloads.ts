/** Starts the controllers of the kinds that make Pods. */
import { controllerOf, type KubeObject } from '@caisson/api'
import { type AnyObject, type Client, type Informer, type Informers, keyOf, resources } from '@caisson/client'
import { type ControllerDefinition, createEngine, type Engine, type PlannedEvent } from '@caisson/controllers'
import { planDeployment } from './plan-deployment.ts'
import { planReplicaSet } from './plan-replica-set.ts'
import { isActive } from './pods.ts'

export interface WorkloadOptions {
  client: Client
  informers: Informers
  record(component: string, object: AnyObject, event: Omit<PlannedEvent, 'action'>): void
  onError(error: unknown, where: string): void
  now(): number
  signal: AbortSignal
}

/** Objects by the UID of their controller, or by the namespace in which nobody controls them. */
const BY_CONTROLLER = 'controller'

function byController(object: AnyObject): string[] {
  const owner = controllerOf(object)
  return [owner ? owner.uid : orphansOf(object.metadata.namespace)]
}

function orphansOf(namespace = ''): string {
  return `orphans/${namespace}`
}

/** What an owner controls, and what it might adopt. */
function candidates<T extends AnyObject>(informer: Informer<T>, owner: AnyObject): T[] {
  return [
    ...informer.byIndex(BY_CONTROLLER, owner.metadata.uid ?? ''),
    ...informer.byIndex(BY_CONTROLLER, orphansOf(owner.metadata.namespace)),
  ]
}

/** Objects that are worked on at the same time, of each kind. */
const CONCURRENCY = 5

/** Resolves when every kind has been listed once. Disposing stops the controllers and waits for running passes. */
export async function startWorkloads(options: WorkloadOptions): Promise<AsyncDisposable> {
  const { informers, signal } = options
  await using stack = new AsyncDisposableStack()
  const indexers = { [BY_CONTROLLER]: byController }
  const pods = informers.of(resources.pods, { indexers })
  const sets = informers.of(resources.replicaSets, { indexers })
  const controllers = informers.of(resources.replicationControllers)
  const deployments = informers.of(resources.deployments)
  await informers.synced(signal)

  const start = <T extends AnyObject & { status?: object }, O>(definition: ControllerDefinition<T, O>): Engine => {
    const engine = stack.use(
      createEngine(definition, {
        client: options.client,
        record: (object, { type, reason, message }) =>
          options.record(definition.name, object, { type, reason, message }),
        concurrency: CONCURRENCY,
        now: options.now,
        onError: (error, key) => options.onError(error, `${definition.name} ${key}`),
      }),
    )
    stack.use(
      definition.informer.handle({
        added: (object) => engine.enqueue(keyOf(object)),
        updated: (_old, object) => engine.enqueue(keyOf(object)),
        deleted: (object) => engine.enqueue(keyOf(object)),
      }),
    )
    return engine
  }
  /** Calls for whoever owns a changed object, before and after the change, and for all that might adopt it. */
  const follow = <T extends AnyObject>(informer: Informer<T>, owners: Informer<AnyObject>, engine: Engine): void => {
    const { kind } = owners.resource
    const changed = (object: T): void => {
      const owner = controllerOf(object)
      if (owner) {
        if (owner.kind === kind) engine.enqueue(`${object.metadata.namespace}/${owner.name}`)
        return
      }
      for (const each of owners.list()) {
        if (each.metadata.namespace === object.metadata.namespace) engine.enqueue(keyOf(each))
      }
    }
    stack.use(
      informer.handle({
        added: changed,
        updated(old, object) {
          if (controllerOf(old)?.uid !== controllerOf(object)?.uid) changed(old)
          changed(object)
        },
        deleted: changed,
      }),
    )
  }

  const related = (set: AnyObject): ReturnType<typeof pods.list> => {
    const owner = controllerOf(set)
    const siblings = owner ? sets.byIndex(BY_CONTROLLER, owner.uid) : [set]
    return siblings.flatMap(({ metadata }) => pods.byIndex(BY_CONTROLLER, metadata.uid ?? '').filter(isActive))
  }
  const replicaSetEngine = start({
    name: 'replicaset-controller',
    informer: sets,
    others: [pods],
    observe: (set, failures) => ({
      set,
      selector: (set.spec?.selector ?? {}) as never,
      pods: candidates(pods, set),
      related: related(set),
      failures,
    }),
    plan: planReplicaSet,
  })
  follow(pods, sets, replicaSetEngine)
  const controllerEngine = start({
    name: 'replication-controller',
    informer: controllers,
    others: [pods],
    observe: (controller, failures) => ({
      set: controller as never,
      selector: { matchLabels: controller.spec?.selector ?? {} },
      pods: candidates(pods, controller),
      related: [],
      failures,
    }),
    plan: planReplicaSet,
  })
  follow(pods, controllers, controllerEngine)

  const runningOf = (deployment: AnyObject): Map<string, number> =>
    new Map(
      candidates(sets, deployment).map(({ metadata }) => [
        metadata.uid ?? '',
        pods
          .byIndex(BY_CONTROLLER, metadata.uid ?? '')
          .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed').length,
      ]),
    )
  const deploymentEngine = start({
    name: 'deployment-controller',
    informer: deployments,
    others: [sets],
    observe: (deployment, failures) => ({
      deployment,
      replicaSets: candidates(sets, deployment),
      running: runningOf(deployment),
      failures,
    }),
    plan: planDeployment,
  })
  follow(sets, deployments, deploymentEngine)
  // Recreate waits until the last old Pod has gone.
  stack.use(
    pods.handle({
      deleted(pod) {
        const owner = controllerOf(pod)
        const set = owner?.kind === 'ReplicaSet' ? sets.get(`${pod.metadata.namespace}/${owner.name}`) : undefined
        const deployment = set && controllerOf(set as KubeObject)
        if (deployment?.kind === 'Deployment') deploymentEngine.enqueue(`${pod.metadata.namespace}/${deployment.name}`)
      },
    }),
  )
  return stack.move()
}
