/** Whether an eviction is within the Pod's disruption budget, and taking it from there. */
import { type Condition, type KubeObject, type LabelSelector, mergeConditions, selects } from '@caisson/api'
import type { PodDisruptionBudgetSpec, PodDisruptionBudgetStatus } from 'kubernetes-types/policy/v1.js'
import { StatusError } from '../../status-error.ts'
import type { Transaction } from '../../storage/store.ts'
import { timestamp } from '../metadata.ts'

const BUDGETS = 'poddisruptionbudgets.policy'
/** More evictions that the controller has not seen yet are not let through. */
const MOST_DISRUPTED = 2000

interface Budget extends KubeObject {
  spec: PodDisruptionBudgetSpec & { unhealthyPodEvictionPolicy?: string }
  status: PodDisruptionBudgetStatus
}

interface PodLike extends KubeObject {
  status?: { phase?: string; conditions?: Condition[] }
}

/** Takes an eviction from the budget. Throws where the budget does not allow it. */
export function spendBudget(
  transaction: Transaction,
  pod: KubeObject,
  { dryRun, now }: { dryRun: boolean; now: number },
): void {
  const { phase, conditions } = (pod as PodLike).status ?? {}
  // What does not run, or goes already, disrupts nobody.
  if (phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending' || pod.metadata.deletionTimestamp) return
  const all = [...transaction.list(BUDGETS, pod.metadata.namespace)] as Budget[]
  const [budget, ...others] = all.filter(({ spec }) =>
    selects(spec.selector as LabelSelector | undefined, pod.metadata.labels),
  )
  if (!budget) return
  if (others.length > 0) {
    const said = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.'
    throw new StatusError('Unknown', said, { code: 500 })
  }
  const isReady = conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
  if (!isReady && mayGoUnready(budget)) return
  const next = decrement(budget, pod.metadata.name ?? '', now)
  if (!dryRun) transaction.put(BUDGETS, next)
}

/** A Pod that does not work is no loss, where its budget says so or enough others work. */
function mayGoUnready({ spec, status }: Budget): boolean {
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  return status.desiredHealthy > 0 && status.currentHealthy >= status.desiredHealthy
}

function decrement(budget: Budget, pod: string, now: number): KubeObject {
  const { metadata, status } = budget
  const name = metadata.name ?? ''
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    throw tooMany(`The disruption budget ${name} is still being processed by the server.`, 10)
  }
  if (status.disruptionsAllowed < 0) throw forbidden(name, 'pdb disruptions allowed is negative')
  if (Object.keys(status.disruptedPods ?? {}).length > MOST_DISRUPTED) {
    throw forbidden(name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller')
  }
  if (status.disruptionsAllowed === 0) {
    const { desiredHealthy, currentHealthy } = status
    throw tooMany(
      `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
    )
  }
  const left = status.disruptionsAllowed - 1
  const observedGeneration = status.observedGeneration ?? 0
  const insufficient = { type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods', message: '' } as const
  const conditions =
    left === 0
      ? mergeConditions(status.conditions as Condition[] | undefined, [{ ...insufficient, observedGeneration }], {
          now,
        })
      : status.conditions
  return {
    ...budget,
    metadata: { ...metadata },
    status: {
      ...status,
      ...(conditions && { conditions }),
      disruptionsAllowed: left,
      disruptedPods: { ...status.disruptedPods, [pod]: timestamp(now) },
    },
  }
}

function tooMany(message: string, retryAfterSeconds = 0): StatusError {
  return new StatusError('TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
    details: {
      causes: [{ reason: 'DisruptionBudget', message }],
      ...(retryAfterSeconds > 0 && { retryAfterSeconds }),
    },
  })
}

function forbidden(name: string, why: string): StatusError {
  return new StatusError('Forbidden', `poddisruptionbudget.policy ${JSON.stringify(name)} is forbidden: ${why}`, {
    details: { name, group: 'policy', kind: 'poddisruptionbudget' },
  })
}
