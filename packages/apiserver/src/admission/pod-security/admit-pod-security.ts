/** Pod Security admission: Pods have to meet the level of their namespace; who writes templates of Pods is warned. */
import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '@caisson/api'
import { forbiddenObject } from '../../authz/attributes.ts'
import { invalid, StatusError } from '../../status-error.ts'
import type { Store } from '../../storage/store.ts'
import type { AdmissionRequest } from '../../verbs/call.ts'
import { type Container, list, type PodSpec, type PodView, podTemplateOf, specOf } from '../pod-shape.ts'
import { hasSecurityAnnotations } from './baseline-checks.ts'
import { describeViolations, violations } from './evaluate.ts'
import { describeLevel, everywhere, type Level, type LevelVersion, type Policy, policyOf, stricter } from './policy.ts'
import type { Violation } from './violation.ts'

export interface PodSecurityOptions {
  /** Of namespaces that say nothing; all modes. */
  unlabelled: Level
  /** Namespaces that are privileged unless they say otherwise. */
  privilegedNamespaces: readonly string[]
}

// Namespaces with more are checked in part, as in Kubernetes, and the warning says so.
const MOST_PODS = 3000

/** Subresources that cannot change what a Pod is. */
const HARMLESS: readonly string[] = ['exec', 'attach', 'binding', 'eviction', 'log', 'portforward', 'proxy', 'status']

/** Refuses a Pod, or warns about an object, that does not meet the level of its namespace. */
export function admitPodSecurity(
  request: AdmissionRequest,
  { store, options }: { store: Pick<Store, 'get' | 'list'>; options: PodSecurityOptions },
): void {
  const { resource, operation, object, oldObject } = request
  if (!object || (operation !== 'CREATE' && operation !== 'UPDATE')) return
  const kind = resource.group === '' ? resource.plural : ''
  if (kind === 'namespaces') return admitNamespace(request, { store, options })
  if (kind === 'pods' ? HARMLESS.includes(request.subresource) : request.subresource !== '') return
  if (request.namespace === '') return
  const pod = kind === 'pods' ? viewOf(object) : podTemplateOf(object)
  if (!pod) return
  if (kind === 'pods' && oldObject && !isSignificant(pod.spec, specOf(oldObject))) return
  const namespace = store.get('namespaces', undefined, request.namespace)
  if (!namespace) throw new StatusError('InternalError', `failed to lookup namespace "${request.namespace}"`)
  const { policy } = policyOf(namespace.metadata.labels ?? {}, unlabelledPolicy(request.namespace, options))
  if (kind === 'pods') {
    const found = violations(pod, policy.enforce)
    if (found.length > 0) {
      throw forbiddenObject(
        { group: '', resource: 'pods', name: request.name },
        `violates PodSecurity "${describeLevel(policy.enforce)}": ${describeViolations(found)}`,
      )
    }
  }
  const found = rememberedViolations(pod, policy.warn)
  if (found.length === 0) return
  request.warn(`would violate PodSecurity "${describeLevel(policy.warn)}": ${describeViolations(found)}`)
}

const remembered = new WeakMap<PodView | PodSpec, LevelVersion & { found: readonly Violation[] }>()

/**
 * Most writes of an object with a template leave the template as it is, or the spec in it. What is frozen is as it was
 * when it was looked at on its way to the store.
 */
function rememberedViolations(pod: PodView, { level, version }: LevelVersion): readonly Violation[] {
  const by = hasSecurityAnnotations(pod) ? pod : pod.spec
  const known = Object.isFrozen(pod.spec) ? remembered.get(by) : undefined
  if (known?.level === level && known.version === version) return known.found
  const found = violations(pod, { level, version })
  remembered.set(by, { level, version, found })
  return found
}

function unlabelledPolicy(namespace: string, options: PodSecurityOptions): Policy {
  return everywhere(options.privilegedNamespaces.includes(namespace) ? 'privileged' : options.unlabelled)
}

function viewOf(pod: KubeObject): PodView {
  return { annotations: pod.metadata.annotations ?? {}, spec: specOf(pod) }
}

/** Of what an update may change, images and new containers are what can matter. */
function isSignificant(next: PodSpec, before: PodSpec): boolean {
  const changed = (a: readonly Container[], b: readonly Container[]): boolean =>
    a.length !== b.length || a.some(({ image }, index) => image !== b[index]?.image)
  if (changed(list(next.containers), list(before.containers))) return true
  if (changed(list(next.initContainers), list(before.initContainers))) return true
  const known = new Map(list(before.ephemeralContainers).map(({ name, image }) => [name, image]))
  return list(next.ephemeralContainers).some(({ name, image }) => !known.has(name) || known.get(name) !== image)
}

function admitNamespace(
  request: AdmissionRequest,
  { store, options }: { store: Pick<Store, 'list'>; options: PodSecurityOptions },
): void {
  const { object, oldObject, name, subresource, operation } = request
  if (!object || subresource !== '') return
  const own = object.metadata.name ?? name
  const unlabelled = unlabelledPolicy(own, options)
  const next = policyOf(object.metadata.labels ?? {}, unlabelled)
  const before = oldObject && policyOf(oldObject.metadata.labels ?? {}, unlabelled)
  if (next.errors.length > 0 && !isDeepStrictEqual(next.errors, before?.errors)) {
    throw invalid({ group: '', kind: 'Namespace' }, name, next.errors)
  }
  if (operation !== 'UPDATE' || !before) return
  const { enforce } = next.policy
  if (isDeepStrictEqual(enforce, before.policy.enforce) || enforce.level === 'privileged') return
  const sameVersion = enforce.version === before.policy.enforce.version
  if (sameVersion && !stricter(enforce.level, before.policy.enforce.level)) return
  for (const warning of warningsAboutPods(own, enforce, store)) request.warn(warning)
}

/** What a stricter level means for the Pods that are there: they stay, and whoever sets it should know. */
function warningsAboutPods(namespace: string, enforce: LevelVersion, store: Pick<Store, 'list'>): string[] {
  const pods = [...store.list('pods', namespace)]
  const checked = onePerControllerFirst(pods).slice(0, MOST_PODS)
  const named = new Map<string, string[]>()
  for (const pod of checked) {
    const found = violations(viewOf(pod), enforce)
    if (found.length === 0) continue
    const reasons = found.map(({ reason }) => reason).join(', ')
    named.set(reasons, [...(named.get(reasons) ?? []), pod.metadata.name ?? ''])
  }
  const warnings = [...named].map(([reasons, names]) => {
    const others = names.length - 1
    const more = others === 0 ? '' : ` (and ${others} other ${others === 1 ? 'pod' : 'pods'})`
    return `${names.sort()[0]}${more}: ${reasons}`
  })
  const level = describeLevel(enforce)
  return [
    ...(checked.length < pods.length
      ? [
          `new PodSecurity enforce level only checked against the first ${checked.length} of ${pods.length} existing pods`,
        ]
      : []),
    ...(warnings.length > 0
      ? [`existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${level}"`]
      : []),
    ...warnings.sort(),
  ]
}

/** Pods of one controller are alike: others come first. */
function onePerControllerFirst(pods: readonly KubeObject[]): KubeObject[] {
  const seen = new Set<string>()
  const [first, rest]: [KubeObject[], KubeObject[]] = [[], []]
  for (const pod of pods) {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller)?.uid
    if (owner !== undefined && seen.has(owner)) rest.push(pod)
    else first.push(pod)
    if (owner !== undefined) seen.add(owner)
  }
  return [...first, ...rest]
}
