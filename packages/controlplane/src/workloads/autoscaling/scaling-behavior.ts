/** From what a load asks for to what is done at once: windows in which a wish has to last, and how fast the size may change. */
import type { HorizontalPodAutoscalerSpec, HPAScalingRules } from 'kubernetes-types/autoscaling/v2.d.ts'

/** What has been recommended and done lately; kept in memory, as Kubernetes does. */
export interface ScalingHistory {
  recommendations: { time: number; replicas: number }[]
  ups: { time: number; change: number }[]
  downs: { time: number; change: number }[]
}

export interface ConditionState {
  type: string
  status: 'True' | 'False'
  reason: string
  message: string
}

const PERIOD = 15
const DOWN_WINDOW = 300
const UP: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: PERIOD },
    { type: 'Percent', value: 100, periodSeconds: PERIOD },
  ],
}
const DOWN: HPAScalingRules = {
  stabilizationWindowSeconds: DOWN_WINDOW,
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: PERIOD }],
}

export interface Wish {
  current: number
  /** By the metrics. */
  desired: number
  now: number
}

/** The next size, and the conditions that say why it is not what the metrics ask for. Adds to `history`. */
export function nextSize(
  spec: HorizontalPodAutoscalerSpec,
  wish: Wish,
  history: ScalingHistory,
): { replicas: number; conditions: ConditionState[] } {
  const up = { ...UP, ...spec.behavior?.scaleUp }
  const down = { ...DOWN, ...spec.behavior?.scaleDown }
  const stabilized = stabilize(wish, { up, down }, history)
  const able: ConditionState =
    stabilized === wish.desired
      ? state('AbleToScale', 'ReadyForNewScale', 'recommended size matches current size')
      : stabilized > wish.desired
        ? state(
            'AbleToScale',
            'ScaleDownStabilized',
            'recent recommendations were higher than current one, applying the highest recent recommendation',
          )
        : state(
            'AbleToScale',
            'ScaleUpStabilized',
            'recent recommendations were lower than current one, applying the lowest recent recommendation',
          )
  const { replicas, limited } = limit(spec, { ...wish, desired: stabilized }, { up, down }, history)
  return { replicas, conditions: [able, limited] }
}

function state(type: string, reason: string, message: string, status: 'True' | 'False' = 'True'): ConditionState {
  return { type, status, reason, message }
}

interface Rules {
  up: HPAScalingRules
  down: HPAScalingRules
}

/** The least of what was asked for in the window of growth, the most of the window of shrinking. */
function stabilize({ current, desired, now }: Wish, { up, down }: Rules, history: ScalingHistory): number {
  const windows = [up, down].map((rules) => (rules.stabilizationWindowSeconds ?? 0) * 1000)
  const [upFrom, downFrom] = windows.map((window) => now - window) as [number, number]
  let [least, most] = [desired, desired]
  for (const { time, replicas } of history.recommendations) {
    if (time > upFrom) least = Math.min(least, replicas)
    if (time > downFrom) most = Math.max(most, replicas)
  }
  history.recommendations = history.recommendations.filter(({ time }) => time > Math.min(upFrom, downFrom))
  history.recommendations.push({ time: now, replicas: desired })
  return Math.min(Math.max(current, least), most)
}

function limit(
  { minReplicas = 1, maxReplicas }: HorizontalPodAutoscalerSpec,
  { current, desired, now }: Wish,
  { up, down }: Rules,
  history: ScalingHistory,
): { replicas: number; limited: ConditionState } {
  const within = state(
    'ScalingLimited',
    'DesiredWithinRange',
    'the desired count is within the acceptable range',
    'False',
  )
  if (desired > current) {
    const fastest = Math.max(current, growthLimit(current, up, history, now))
    const most = Math.min(maxReplicas, fastest)
    if (desired <= most) return { replicas: desired, limited: within }
    const limited =
      fastest < maxReplicas
        ? state(
            'ScalingLimited',
            'ScaleUpLimit',
            'the desired replica count is increasing faster than the maximum scale rate',
          )
        : state('ScalingLimited', 'TooManyReplicas', 'the desired replica count is more than the maximum replica count')
    return { replicas: most, limited }
  }
  if (desired < current || desired < minReplicas) {
    const fastest = Math.min(current, shrinkLimit(current, down, history, now))
    const least = Math.max(minReplicas, fastest)
    if (desired >= least) return { replicas: Math.min(desired, maxReplicas), limited: within }
    const limited =
      fastest > minReplicas
        ? state(
            'ScalingLimited',
            'ScaleDownLimit',
            'the desired replica count is decreasing faster than the maximum scale rate',
          )
        : state('ScalingLimited', 'TooFewReplicas', 'the desired replica count is less than the minimum replica count')
    return { replicas: Math.min(least, maxReplicas), limited }
  }
  if (desired > maxReplicas) {
    const said = 'the desired replica count is more than the maximum replica count'
    return { replicas: maxReplicas, limited: state('ScalingLimited', 'TooManyReplicas', said) }
  }
  return { replicas: desired, limited: within }
}

function changeIn(events: readonly { time: number; change: number }[], seconds: number, now: number): number {
  return events.filter(({ time }) => time > now - seconds * 1000).reduce((total, { change }) => total + change, 0)
}

function growthLimit(current: number, rules: HPAScalingRules, history: ScalingHistory, now: number): number {
  if (rules.selectPolicy === 'Disabled') return current
  const limits = policyStarts(current, rules, history, now).map(({ type, value, start }) =>
    type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100)),
  )
  return rules.selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits)
}

function shrinkLimit(current: number, rules: HPAScalingRules, history: ScalingHistory, now: number): number {
  if (rules.selectPolicy === 'Disabled') return current
  const limits = policyStarts(current, rules, history, now).map(({ type, value, start }) =>
    type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100)),
  )
  return rules.selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits)
}

/** Each policy with the size at which its period began. */
function policyStarts(
  current: number,
  { policies = [] }: HPAScalingRules,
  { ups, downs }: ScalingHistory,
  now: number,
): { type: string; value: number; start: number }[] {
  return policies.map(({ type, value, periodSeconds }) => ({
    type,
    value,
    start: current - changeIn(ups, periodSeconds, now) + changeIn(downs, periodSeconds, now),
  }))
}

const LONGEST_PERIOD = 1_800_000

/** Notes that the size was changed. */
export function noteChange(history: ScalingHistory, from: number, to: number, now: number): void {
  const recent = ({ time }: { time: number }): boolean => time > now - LONGEST_PERIOD
  history.ups = history.ups.filter(recent)
  history.downs = history.downs.filter(recent)
  if (to > from) history.ups.push({ time: now, change: to - from })
  else if (to < from) history.downs.push({ time: now, change: from - to })
}
