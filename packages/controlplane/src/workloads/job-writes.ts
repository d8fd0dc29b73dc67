/** Which Pods of a Job are made and which deleted. */
import type { KubeObject } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Write } from '@caisson/controllers'
import type { JobSpec } from 'kubernetes-types/batch/v1.d.ts'
import { leastMissed } from './deletion-order.ts'
import {
  backOffUntil,
  FAILURES,
  hasFailed,
  IGNORED_FAILURES,
  INDEX,
  indexBackOffUntil,
  indexOf,
  isIndexed,
  isTerminating,
  type JobObject,
  judgeFailure,
  replacesOnlyFailed,
} from './job-pods.ts'
import type { Tally } from './job-tally.ts'
import { TRACKING } from './job-tracking.ts'
import { createPod, deletePod, podFrom } from './pods.ts'

/** Pods made or deleted at most in one pass, as kube-controller-manager has it. */
const BURST = 500

export interface Managed {
  writes: Write[]
  requeueAt?: number
}

interface Managing {
  job: JobObject
  pods: readonly PodObject[]
  active: readonly PodObject[]
  tally: Tally
  now: number
}

/** As many Pods as there should be: some made, or some deleted, never both at once. */
export function managePods(managing: Managing): Managed {
  const { job, pods, active, tally, now } = managing
  const spec = job.spec as JobSpec
  if (spec.suspend) return { writes: active.map((pod) => deletePod(pod)) }
  const parallelism = spec.parallelism ?? 1
  const wanted =
    spec.completions === undefined
      ? tally.succeeded > 0
        ? active.length
        : parallelism
      : Math.max(0, Math.min(parallelism, spec.completions - tally.succeeded))
  const extra = surplus(managing, Math.max(0, active.length - wanted))
  if (extra.length) return { writes: extra.slice(0, BURST).map((pod) => deletePod(pod)) }
  const terminating = replacesOnlyFailed(spec) ? pods.filter(isTerminating).length : 0
  const missing = Math.min(wanted - terminating - active.length, BURST)
  if (missing <= 0) return { writes: [] }
  if (spec.backoffLimitPerIndex !== undefined && isIndexed(spec)) return createPerIndex(managing, missing)
  const until = backOffUntil(pods, spec)
  if (until > now) return { writes: [], requeueAt: until }
  if (!isIndexed(spec)) {
    const pod = podFrom(spec.template, job as KubeObject, { finalizers: [TRACKING] })
    return { writes: Array.from({ length: missing }, (_, index) => createPod(pod, index)) }
  }
  return {
    writes: pendingIndexes(managing, missing).map((index) => createPod(indexedPod(job, index, {}), `index ${index}`)),
  }
}

/** Pods of an index that another one has, or that is not wanted any more, and then as many as are too many. */
function surplus({ job, active, now }: Managing, least: number): PodObject[] {
  const spec = job.spec as JobSpec
  const order = { related: active, now }
  if (!isIndexed(spec)) return leastMissed(active, least, order)
  const seen = new Set<number>()
  const unfit: PodObject[] = []
  const fit: PodObject[] = []
  for (const pod of leastMissed(active, active.length, order).reverse()) {
    const index = indexOf(pod, spec.completions ?? 0)
    if (index === undefined || seen.has(index)) unfit.push(pod)
    else {
      seen.add(index)
      fit.push(pod)
    }
  }
  return [...unfit, ...leastMissed(fit, Math.max(0, least - unfit.length), order)]
}

function pendingIndexes({ job, pods, active, tally }: Managing, most: number): number[] {
  const spec = job.spec as JobSpec
  const completions = spec.completions ?? 0
  const running = replacesOnlyFailed(spec) ? [...active, ...pods.filter(isTerminating)] : active
  const taken = new Set(running.map((pod) => indexOf(pod, completions)))
  const pending: number[] = []
  for (
    let index = firstLeft(0, tally);
    index < completions && pending.length < most;
    index = firstLeft(index + 1, tally)
  )
    if (!taken.has(index)) pending.push(index)
  return pending
}

/** The first index from this one on that has neither been completed nor failed. */
function firstLeft(from: number, { completedIndexes, failedIndexes }: Tally): number {
  for (let index = from; ; ) {
    const next = failedIndexes.firstOut(completedIndexes.firstOut(index))
    if (next === index) return index
    index = next
  }
}

function createPerIndex(managing: Managing, missing: number): Managed {
  const { job, pods, now } = managing
  const spec = job.spec as JobSpec
  const completions = spec.completions ?? 0
  const writes: Write[] = []
  const waits: number[] = []
  for (const index of pendingIndexes(managing, completions)) {
    if (writes.length >= missing) break
    const last = lastFailed(pods, index, spec)
    const until = indexBackOffUntil(last)
    if (until > now) waits.push(until)
    else writes.push(createPod(indexedPod(job, index, failureCounts(last, spec)), `index ${index}`))
  }
  return { writes, ...(waits.length > 0 && { requeueAt: Math.min(...waits) }) }
}

function lastFailed(pods: readonly PodObject[], index: number, spec: JobSpec): PodObject | undefined {
  const total = ({ metadata }: PodObject): number =>
    Number(metadata.annotations?.[FAILURES] ?? 0) + Number(metadata.annotations?.[IGNORED_FAILURES] ?? 0)
  return pods
    .filter((pod) => hasFailed(pod, spec) && indexOf(pod, spec.completions ?? 0) === index)
    .sort((a, b) => total(b) - total(a))[0]
}

function failureCounts(last: PodObject | undefined, spec: JobSpec): Record<string, string> {
  if (!last) return { [FAILURES]: '0' }
  const ignored = judgeFailure(last, spec).action === 'Ignore'
  const [failures, others] = [FAILURES, IGNORED_FAILURES].map((key) =>
    Number(last.metadata.annotations?.[key] ?? 0),
  ) as [number, number]
  const nextIgnored = others + (ignored ? 1 : 0)
  return {
    [FAILURES]: String(failures + (ignored ? 0 : 1)),
    ...(nextIgnored > 0 && { [IGNORED_FAILURES]: String(nextIgnored) }),
  }
}

const INDEX_VARIABLE = {
  name: 'JOB_COMPLETION_INDEX',
  valueFrom: { fieldRef: { fieldPath: `metadata.labels['${INDEX}']` } },
}

function indexedPod(job: JobObject, index: number, annotations: Record<string, string>): KubeObject {
  const spec = job.spec as JobSpec
  const { name = '' } = job.metadata
  const own = { [INDEX]: String(index) }
  const pod = podFrom(spec.template, job as KubeObject, {
    labels: own,
    annotations: { ...own, ...annotations },
    finalizers: [TRACKING],
  })
  const { containers = [], initContainers, ...rest } = spec.template.spec ?? {}
  const withIndex = (container: (typeof containers)[number]): (typeof containers)[number] =>
    container.env?.some((variable) => variable.name === INDEX_VARIABLE.name)
      ? container
      : { ...container, env: [...(container.env ?? []), INDEX_VARIABLE] }
  return {
    ...pod,
    metadata: { ...pod.metadata, generateName: `${name}-${index}-` },
    spec: {
      ...rest,
      containers: containers.map(withIndex),
      ...(initContainers && { initContainers: initContainers.map(withIndex) }),
      hostname: `${name}-${index}`,
    },
  }
}
