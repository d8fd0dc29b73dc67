/** What the RuntimeClass of a Pod adds to it. */
import type { KubeObject } from '@caisson/api'
import type { Toleration } from 'kubernetes-types/core/v1.js'
import { goQuote } from '../registry/field-error.ts'
import { compareQuantities } from '../registry/quantity.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { list, specOf } from './pod-shape.ts'
import { refuse } from './refuse.ts'
import { mergeTolerations } from './tolerations.ts'

interface RuntimeClass extends KubeObject {
  overhead?: { podFixed?: Record<string, string> }
  scheduling?: { nodeSelector?: Record<string, string>; tolerations?: Toleration[] }
}

type Overhead = Readonly<Record<string, string | number>>

/** Gives a new Pod the overhead, node selector and tolerations of its class; refuses one whose class is not there. */
export function applyRuntimeClass(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { object: pod } = request
  if (!pod) return
  const spec = specOf(pod)
  const runtimeClass = findClass(request, spec.runtimeClassName, store)
  if (!runtimeClass) return
  const { overhead, scheduling } = runtimeClass
  if (overhead) {
    const given = (spec.overhead ?? {}) as Overhead
    if (Object.keys(given).length > 0 && !sameQuantities(given, overhead.podFixed ?? {})) throw mismatch(request)
    if (overhead.podFixed) spec.overhead = { ...overhead.podFixed }
  }
  if (!scheduling) return
  const selector = new Map(Object.entries(spec.nodeSelector ?? {}))
  for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {})) {
    const given = selector.get(key)
    if (given !== undefined && given !== value) {
      throw refuse(
        request,
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${given}`,
      )
    }
    selector.set(key, value)
  }
  if (selector.size > 0) spec.nodeSelector = Object.fromEntries(selector)
  const tolerations = mergeTolerations(list(spec.tolerations), list(scheduling.tolerations))
  if (tolerations.length > 0) spec.tolerations = tolerations
}

/** Refuses a Pod whose overhead is not the one of its class. */
export function validateRuntimeClass(request: AdmissionRequest, store: Pick<Store, 'get'>): void {
  const { object: pod } = request
  if (!pod) return
  const spec = specOf(pod)
  const overhead = findClass(request, spec.runtimeClassName, store)?.overhead
  if (overhead) {
    if (!sameQuantities((spec.overhead ?? {}) as Overhead, overhead.podFixed ?? {})) throw mismatch(request)
  } else if (spec.overhead !== undefined && spec.overhead !== null) {
    throw refuse(request, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
  }
}

function findClass(
  request: AdmissionRequest,
  name: string | null | undefined,
  store: Pick<Store, 'get'>,
): RuntimeClass | undefined {
  if (name === undefined || name === null) return undefined
  const found = store.get('runtimeclasses.node.k8s.io', undefined, name)
  if (!found) throw refuse(request, `pod rejected: RuntimeClass ${goQuote(name)} not found`)
  return found
}

function mismatch(request: AdmissionRequest) {
  return refuse(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
}

function sameQuantities(a: Overhead, b: Overhead): boolean {
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return names.every((name) => {
    const [left, right] = [a[name], Object.hasOwn(b, name) ? b[name] : undefined]
    if (left === undefined || right === undefined) return false
    try {
      return compareQuantities(left, right) === 0
    } catch {
      // What is no quantity is validation's to refuse; until then it equals itself.
      return left === right
    }
  })
}
