/** Starts the controller of PodDisruptionBudgets. */
import { controllerOf, selects } from '@caisson/api'
import { type AnyObject, type Informer, keyOf } from '@caisson/client'
import { planDisruptionBudget } from './plan-disruption-budget.ts'
import { BY_NAMESPACE, type Wiring } from './wiring.ts'

export function startDisruptionBudgets({ kinds, stack, start }: Wiring): void {
  const { pods, sets, controllers, deployments, statefulSets, budgets } = kinds
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
  const ofPod = ({ metadata }: AnyObject): void => {
    for (const budget of budgets.byIndex(BY_NAMESPACE, metadata.namespace ?? ''))
      if (selects(budget.spec?.selector, metadata.labels)) budgetEngine.enqueue(keyOf(budget))
  }
  stack.use(
    pods.handle({
      added: ofPod,
      updated(old, pod) {
        ofPod(old)
        ofPod(pod)
      },
      deleted: ofPod,
    }),
  )
  const watched: readonly Informer<AnyObject>[] = [sets, deployments, statefulSets, controllers]
  for (const informer of watched) {
    stack.use(
      informer.handle({ added: inNamespace, updated: (_old, object) => inNamespace(object), deleted: inNamespace }),
    )
  }
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
