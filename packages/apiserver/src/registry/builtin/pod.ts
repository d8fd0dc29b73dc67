/** The Pod: what is set when one is made, what may change, how long its deletion waits. */
import type { KubeObject } from '@caisson/api'
import type { Container, Lifecycle, Pod, PodSpec, PodStatus } from 'kubernetes-types/core/v1.js'
import { dns1123Label } from '../names.ts'
import type { Strategy } from '../resource.ts'
import { applyPodDefaults } from './pod-defaults.ts'
import { podQosClass } from './pod-qos.ts'
import { validatePodCreate } from './pod-spec.ts'
import { validatePodStatusUpdate, validatePodUpdate } from './pod-update.ts'
import { podStatusWarnings, podWarnings } from './pod-warnings.ts'

export const podStrategy: Strategy = {
  returnsDeleted: true,
  defaults: (object) => applyPodDefaults(asPod(object)),
  prepareForCreate(object, { now }) {
    const pod = asPod(object)
    dropDisabledFields(pod)
    applyMatchLabelKeys(pod)
    const status: PodStatus = { phase: 'Pending', qosClass: podQosClass(pod) }
    if (pod.spec?.schedulingGates?.length) {
      status.conditions = [
        {
          type: 'PodScheduled',
          status: 'False',
          // When it was last probed is not known; Go writes that as null.
          ...({ lastProbeTime: null } as object),
          lastTransitionTime: `${new Date(now).toISOString().slice(0, 19)}Z`,
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
      ]
    }
    object.status = status
  },
  prepareForUpdate(next, current) {
    dropDisabledFields(asPod(next))
    next.status = current.status
  },
  prepareForStatusUpdate(next, current) {
    next.spec = current.spec
    // Neither may be changed by whoever may write a status; deletion has a verb of its own.
    const { deletionTimestamp, deletionGracePeriodSeconds, ownerReferences } = current.metadata
    Object.assign(next.metadata, { deletionTimestamp, deletionGracePeriodSeconds, ownerReferences })
    for (const field of ['deletionTimestamp', 'deletionGracePeriodSeconds', 'ownerReferences'] as const) {
      if (next.metadata[field] === undefined) delete next.metadata[field]
    }
    const status = next.status as PodStatus & { observedGeneration?: number }
    const old = current.status as PodStatus & { observedGeneration?: number }
    status.qosClass ||= old.qosClass ?? ''
    if (old.observedGeneration) status.observedGeneration ||= old.observedGeneration
  },
  validate: (object) => validatePodCreate(asPod(object)),
  validateUpdate: (next, current) => validatePodUpdate(asPod(next), asPod(current)),
  validateStatusUpdate: (next, current) => validatePodStatusUpdate(asPod(next), asPod(current)),
  statusWarnings: (object) => podStatusWarnings(asPod(object)),
  warnings(object, current) {
    // Controllers and kubelets update Pods, and read no warnings: kube-apiserver spares them too.
    if (current) return []
    const name = object.metadata.name ?? ''
    const said = dns1123Label(name)
    const unfit = said.length
      ? [
          `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${said.join(' ')}]`,
        ]
      : []
    return [...unfit, ...podWarnings(asPod(object))]
  },
  gracePeriodSeconds(object, asked) {
    const { spec, status } = asPod(object)
    const seconds = asked ?? spec?.terminationGracePeriodSeconds ?? 0
    // Nobody runs it, so that nobody would end it.
    if (!spec?.nodeName || status?.phase === 'Failed' || status?.phase === 'Succeeded') return 0
    return seconds < 0 ? 1 : seconds
  },
}

function asPod(object: KubeObject): Pod {
  return object as unknown as Pod
}

/** Fields of features that 1.34 has, but switched off: they are dropped without a word, as there. */
function dropDisabledFields(pod: Pod): void {
  dropDisabledSpecFields(pod.spec as PodSpec)
}

/** Also of a template. */
export function dropDisabledSpecFields(spec: PodSpec & { hostnameOverride?: string }): void {
  delete spec.hostnameOverride
  dropImageVolumes(spec)
  for (const container of [...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    delete container.restartPolicy
    dropDisabledContainerFields(container)
  }
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy !== 'Always') delete container.restartPolicy
    dropDisabledContainerFields(container)
  }
}

function dropDisabledContainerFields(container: Container): void {
  delete (container as { restartPolicyRules?: unknown }).restartPolicyRules
  const lifecycle: Lifecycle & { stopSignal?: string } = container.lifecycle ?? {}
  if (lifecycle.stopSignal !== undefined) {
    delete lifecycle.stopSignal
    if (Object.keys(lifecycle).length === 0) delete container.lifecycle
  }
  for (const { valueFrom } of container.env ?? [])
    delete (valueFrom as { fileKeyRef?: unknown } | undefined)?.fileKeyRef
}

function dropImageVolumes(spec: PodSpec): void {
  const dropped = new Set(spec.volumes?.flatMap((volume) => ('image' in volume ? [volume.name] : [])))
  if (dropped.size === 0) return
  const kept = spec.volumes?.filter(({ name }) => !dropped.has(name)) ?? []
  if (kept.length) spec.volumes = kept
  else delete spec.volumes
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    if (!container.volumeMounts) continue
    container.volumeMounts = container.volumeMounts.filter(({ name }) => !dropped.has(name))
    if (!container.volumeMounts.length) delete container.volumeMounts
  }
}

/** `matchLabelKeys` become part of the selector, with the values that the Pod has when it is made. */
function applyMatchLabelKeys(pod: Pod): void {
  const { affinity, topologySpreadConstraints } = pod.spec as PodSpec
  const labels = pod.metadata?.labels ?? {}
  const terms = [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((part) => [
    ...(part?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
    ...(part?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
  ])
  for (const term of [...terms, ...(topologySpreadConstraints ?? [])]) {
    const selector = term.labelSelector
    if (!selector) continue
    const expressions = [
      ...expressionsFor(term.matchLabelKeys, 'In', labels),
      ...expressionsFor((term as { mismatchLabelKeys?: string[] }).mismatchLabelKeys, 'NotIn', labels),
    ]
    if (expressions.length) selector.matchExpressions = [...(selector.matchExpressions ?? []), ...expressions]
  }
}

function expressionsFor(
  keys: readonly string[] | undefined,
  operator: string,
  labels: Readonly<Record<string, string>>,
): Array<{ key: string; operator: string; values: string[] }> {
  return (keys ?? []).flatMap((key) => {
    return Object.hasOwn(labels, key) ? [{ key, operator, values: [labels[key] as string] }] : []
  })
}
