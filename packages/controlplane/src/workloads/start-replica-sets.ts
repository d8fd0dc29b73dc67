/** Starts the controllers of ReplicaSets, of ReplicationControllers and of Deployments, which make ReplicaSets. */
import { controllerOf, type KubeObject } from '@caisson/api'
import type { AnyObject } from '@caisson/client'
import { planDeployment } from './plan-deployment.ts'
import { planReplicaSet } from './plan-replica-set.ts'
import { isActive } from './pods.ts'
import { candidates, controlledBy, type Wiring } from './wiring.ts'

export function startReplicaSets({ kinds, start, follow }: Wiring): void {
  const { pods, sets, controllers } = kinds
  const related = (set: AnyObject): ReturnType<typeof pods.list> => {
    const owner = controllerOf(set)
    const siblings = owner ? controlledBy(sets, { namespace: set.metadata.namespace, uid: owner.uid }) : [set]
    return siblings.flatMap(({ metadata }) => controlledBy(pods, metadata).filter(isActive))
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
  follow(pods, sets, replicaSetEngine, ({ spec }) => spec?.selector)
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
  follow(pods, controllers, controllerEngine, ({ spec }) => ({ matchLabels: spec?.selector ?? {} }))
}

export function startDeployments({ kinds, stack, start, follow }: Wiring): void {
  const { pods, sets, deployments } = kinds
  const runningOf = (deployment: AnyObject): Map<string, number> =>
    new Map(
      candidates(sets, deployment).map(({ metadata }) => [
        metadata.uid ?? '',
        controlledBy(pods, metadata).filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
          .length,
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
  follow(sets, deployments, deploymentEngine, ({ spec }) => spec?.selector)
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
}
