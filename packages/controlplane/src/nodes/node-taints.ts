/**
 * What a node's conditions mean for Pods, as taints, as kube-controller-manager writes them: who is short of something or
 * cordoned gets no more Pods, and who is not ready or silent loses those that do not bear it.
 */
import { kubernetesTime } from '@caisson/api'
import type { Node, Taint } from 'kubernetes-types/core/v1.d.ts'

const PREFIX = 'node.kubernetes.io/'

/** The keys that this is about; all others are somebody's own. */
const NO_SCHEDULE = [
  'not-ready',
  'unreachable',
  'memory-pressure',
  'disk-pressure',
  'pid-pressure',
  'network-unavailable',
  'unschedulable',
]
const NO_EXECUTE = ['not-ready', 'unreachable']

/**
 * The taints that the node should have; undefined where it has them. Those of others stay as they are.
 *
 * @param now ms since the epoch: NoExecute taints say since when they are there
 */
export function planTaints({ spec, status }: Pick<Node, 'spec' | 'status'>, now: number): Taint[] | undefined {
  const statusOf = (type: string): string | undefined =>
    status?.conditions?.find((condition) => condition.type === type)?.status
  const ready = statusOf('Ready')
  const states: Record<string, boolean | undefined> = {
    // Of a node that has never said anything it is not known: what admission put there stays.
    'not-ready': ready === undefined ? undefined : ready === 'False',
    unreachable: ready === 'Unknown',
    'memory-pressure': statusOf('MemoryPressure') === 'True',
    'disk-pressure': statusOf('DiskPressure') === 'True',
    'pid-pressure': statusOf('PIDPressure') === 'True',
    'network-unavailable': statusOf('NetworkUnavailable') === 'True',
    unschedulable: spec?.unschedulable === true,
  }
  const present = spec?.taints ?? []
  const isThere = (name: string, effect: string): boolean =>
    present.some((taint) => taint.key === `${PREFIX}${name}` && taint.effect === effect)
  const all = [
    ...NO_SCHEDULE.map((name) => ({ name, effect: 'NoSchedule' })),
    ...NO_EXECUTE.map((name) => ({ name, effect: 'NoExecute' })),
  ]
  const over = all.filter(({ name, effect }) => states[name] === false && isThere(name, effect))
  const missing = all.filter(({ name, effect }) => states[name] === true && !isThere(name, effect))
  if (over.length + missing.length === 0) return undefined
  return [
    ...present.filter(
      ({ key, effect }) => !over.some((one) => key === `${PREFIX}${one.name}` && effect === one.effect),
    ),
    ...missing.map(
      ({ name, effect }): Taint => ({
        key: `${PREFIX}${name}`,
        effect,
        ...(effect === 'NoExecute' && { timeAdded: kubernetesTime(now) }),
      }),
    ),
  ]
}
