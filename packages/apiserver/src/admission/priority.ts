/** The priority of Pods, from their PriorityClass. */
import type { KubeObject } from '@caisson/api'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'

const PRIORITY_CLASSES = 'priorityclasses.scheduling.k8s.io'

interface PriorityClass extends KubeObject {
  value: number
  globalDefault?: boolean
  preemptionPolicy?: string
}

/** Gives a new Pod the number of its class, or of the default class; keeps it on updates. */
export function applyPriority(request: AdmissionRequest, store: Pick<Store, 'get' | 'list'>): void {
  const { object: pod, oldObject, operation } = request
  if (!pod) return
  const spec = specOf(pod)
  if (operation === 'UPDATE') {
    const before = oldObject ? specOf(oldObject) : {}
    const { priority, preemptionPolicy } = before
    if (priority !== undefined) spec.priority ??= priority
    if (preemptionPolicy !== undefined) spec.preemptionPolicy ??= preemptionPolicy
    return
  }
  const { name, priority, preemptionPolicy } = resolve(request, spec.priorityClassName, store)
  if (name !== '') spec.priorityClassName = name
  if ((spec.priority ?? priority) !== priority) {
    throw refuse(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${priority} from the given PriorityClass name`,
    )
  }
  spec.priority = priority
  if (preemptionPolicy === undefined) return
  if ((spec.preemptionPolicy ?? preemptionPolicy) !== preemptionPolicy) {
    throw refuse(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`,
    )
  }
  spec.preemptionPolicy = preemptionPolicy
}

function resolve(request: AdmissionRequest, name: string | null | undefined, store: Pick<Store, 'get' | 'list'>) {
  if (name) {
    const found = store.get(PRIORITY_CLASSES, undefined, name) as PriorityClass | undefined
    if (!found) throw refuse(request, `no PriorityClass with name ${name} was found`)
    return { name, priority: found.value, preemptionPolicy: found.preemptionPolicy }
  }
  const found = defaultClass(store)
  if (!found) return { name: '', priority: 0, preemptionPolicy: 'PreemptLowerPriority' }
  return { name: found.metadata.name ?? '', priority: found.value, preemptionPolicy: found.preemptionPolicy }
}

function defaultClass(store: Pick<Store, 'list'>): PriorityClass | undefined {
  let found: PriorityClass | undefined
  for (const one of store.list(PRIORITY_CLASSES) as Iterable<PriorityClass>) {
    if (one.globalDefault && (!found || one.value < found.value)) found = one
  }
  return found
}

/** Only one class can be the default. */
export function validatePriorityClass(request: AdmissionRequest, store: Pick<Store, 'list'>): void {
  const { object, operation } = request
  if (!(object as PriorityClass | undefined)?.globalDefault) return
  const found = defaultClass(store)
  if (!found || (operation === 'UPDATE' && found.metadata.name === object?.metadata.name)) return
  throw refuse(request, `PriorityClass ${found.metadata.name} is already marked as default. Only one default can exist`)
}
