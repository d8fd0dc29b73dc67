/** Starts the controllers of the kinds that make Pods. */
import { controllerOf, type KubeObject } from '@caisson/api'
import {
  type AnyObject,
  type Client,
  type Informer,
  type Informers,
  keyOf,
  resources,
  type Typed,
} from '@caisson/client'
import { type ControllerDefinition, createEngine, type Engine, type PlannedEvent } from '@caisson/controllers'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { autoscale } from './autoscaling/autoscale.ts'
import { planCronJob } from './plan-cron-job.ts'
import { planDaemonSet } from './plan-daemon-set.ts'
import { planDeployment } from './plan-deployment.ts'
import { planDisruptionBudget } from './plan-disruption-budget.ts'
import { planJob } from './plan-job.ts'
import { planReplicaSet } from './plan-replica-set.ts'
import { planStatefulSet } from './plan-stateful-set.ts'
import { isActive } from './pods.ts'
import { releaseOrphans } from './release-orphans.ts'

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

const BY_NAMESPACE = 'namespace'

function byNamespace({ metadata }: AnyObject): string[] {
  return [metadata.namespace ?? '']
}

/** What of a node decides whether a daemon belongs on it. */
function placement({ metadata, spec }: Typed<Node>): string {
  return JSON.stringify([metadata.labels, spec?.taints, spec?.unschedulable])
}

/** What an owner controls, and what it might adopt. */
function candidates<T extends AnyObject>(informer: Informer<T>, owner: AnyObject): T[] {
  return [
    ...informer.byIndex(BY_CONTROLLER, owner.metadata.uid ?? ''),
    ...informer.byIndex(BY_CONTROLLER, orphansOf(owner.metadata.namespace)),
  ]
}

type Scaled = Informer<AnyObject & { spec?: { replicas?: number } }>

/** Who scales a Pod's set, and to how many: the Deployment, where the ReplicaSet has one. */
function scaleOf(
  pod: AnyObject,
  owners: { sets: Scaled; deployments: Scaled; statefulSets: Scaled; controllers: Scaled },
): { uid: string; replicas: number } | undefined {
  const find = (object: AnyObject, kinds: Readonly<Record<string, Scaled>>): ReturnType<Scaled['get']> => {
    const owner = controllerOf(object)
    const found = owner && kinds[owner.kind]?.get(`${object.metadata.namespace}/${owner.name}`)
    return found?.metadata.uid === owner?.uid ? found : undefined
  }
  const { sets, deployments, statefulSets, controllers } = owners
  const own = find(pod, { ReplicaSet: sets, StatefulSet: statefulSets, ReplicationController: controllers })
  if (!own) return undefined
  const top = find(own, { Deployment: deployments }) ?? own
  return { uid: top.metadata.uid ?? '', replicas: top.spec?.replicas ?? 1 }
}

/** Objects that are worked on at the same time, of each kind. */
const CONCURRENCY = 5

/** Resolves when every kind has been listed once. Disposing stops the controllers and waits for running passes. */
export async function startWorkloads(options: WorkloadOptions): Promise<AsyncDisposable> {
  const { informers, signal } = options
  await using stack = new AsyncDisposableStack()
  const indexers = { [BY_CONTROLLER]: byController }
  const pods = informers.of(resources.pods, { indexers: { ...indexers, [BY_NAMESPACE]: byNamespace } })
  const sets = informers.of(resources.replicaSets, { indexers })
  const controllers = informers.of(resources.replicationControllers)
  const deployments = informers.of(resources.deployments)
  const jobs = informers.of(resources.jobs, { indexers })
  const cronJobs = informers.of(resources.cronJobs)
  const statefulSets = informers.of(resources.statefulSets)
  const daemonSets = informers.of(resources.daemonSets)
  const revisions = informers.of(resources.controllerRevisions, { indexers })
  const nodes = informers.of(resources.nodes)
  const budgets = informers.of(resources.podDisruptionBudgets, { indexers: { [BY_NAMESPACE]: byNamespace } })
  const claims = informers.of(resources.persistentVolumeClaims, { indexers: { [BY_NAMESPACE]: byNamespace } })
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
  const jobEngine = start({
    name: 'job-controller',
    informer: jobs,
    others: [pods],
    observe: (job, failures) => ({ job, pods: candidates(pods, job), failures }),
    plan: planJob,
  })
  follow(pods, jobs, jobEngine)
  stack.use(releaseOrphans({ ...options, pods, jobs }))

  const cronJobEngine = start({
    name: 'cronjob-controller',
    informer: cronJobs,
    others: [jobs],
    observe: (cronJob, failures) => ({
      cronJob,
      jobs: jobs.byIndex(BY_CONTROLLER, cronJob.metadata.uid ?? ''),
      hasJob: (name: string) => jobs.get(`${cronJob.metadata.namespace}/${name}`) !== undefined,
      failures,
    }),
    plan: planCronJob,
  })
  follow(jobs, cronJobs, cronJobEngine)

  const statefulSetEngine = start({
    name: 'statefulset-controller',
    informer: statefulSets,
    others: [pods, revisions, claims],
    observe: (set, failures) => ({
      set,
      pods: candidates(pods, set),
      revisions: revisions.byIndex(BY_CONTROLLER, set.metadata.uid ?? ''),
      claims: new Map(
        claims.byIndex(BY_NAMESPACE, set.metadata.namespace ?? '').map((one) => [one.metadata.name ?? '', one]),
      ),
      failures,
    }),
    plan: planStatefulSet,
  })
  follow(pods, statefulSets, statefulSetEngine)
  follow(revisions, statefulSets, statefulSetEngine)

  const daemonSetEngine = start({
    name: 'daemonset-controller',
    informer: daemonSets,
    others: [pods, revisions],
    observe: (set, failures) => ({
      set,
      pods: candidates(pods, set),
      nodes: nodes.list(),
      revisions: revisions.byIndex(BY_CONTROLLER, set.metadata.uid ?? ''),
      failures,
    }),
    plan: planDaemonSet,
  })
  follow(pods, daemonSets, daemonSetEngine)
  follow(revisions, daemonSets, daemonSetEngine)
  const nodesChanged = (): void => {
    for (const set of daemonSets.list()) daemonSetEngine.enqueue(keyOf(set))
  }
  stack.use(
    nodes.handle({
      added: nodesChanged,
      updated: (old, node) => {
        if (placement(old) !== placement(node)) nodesChanged()
      },
      deleted: nodesChanged,
    }),
  )

  const budgetEngine = start({
    name: 'disruption-controller',
    informer: budgets,
    others: [],
    observe: (budget) => ({
      budget,
      pods: pods.byIndex(BY_NAMESPACE, budget.metadata.namespace ?? ''),
      scaleOf: (pod: AnyObject) => scaleOf(pod, { sets, deployments, statefulSets, controllers }),
    }),
    plan: planDisruptionBudget,
  })
  const inNamespace = ({ metadata }: AnyObject): void => {
    for (const budget of budgets.byIndex(BY_NAMESPACE, metadata.namespace ?? '')) budgetEngine.enqueue(keyOf(budget))
  }
  const watched: readonly Informer<AnyObject>[] = [pods, sets, deployments, statefulSets, controllers]
  for (const informer of watched) {
    stack.use(
      informer.handle({ added: inNamespace, updated: (_old, object) => inNamespace(object), deleted: inNamespace }),
    )
  }

  stack.use(
    autoscale({
      client: options.client,
      autoscalers: informers.of(resources.horizontalPodAutoscalers),
      record: (object, event) => options.record('horizontal-pod-autoscaler', object, event),
      onError: options.onError,
      now: options.now,
    }),
  )

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
