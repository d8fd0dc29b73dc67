/** Annotations of a Pod that mean something to Kubernetes. */
import type { Pod, PodSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, goQuote, invalidValue } from '../field-error.ts'

const MIRROR = 'kubernetes.io/config.mirror'
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
const APPARMOR = 'container.apparmor.security.beta.kubernetes.io/'
const SECCOMP_PROFILES = ['runtime/default', 'docker/default', 'unconfined']
const APPARMOR_PROFILES = ['', 'runtime/default', 'unconfined']
const MAX_COST = 2 ** 31 - 1

export function isMirrorPod({ metadata }: Pod): boolean {
  return metadata?.annotations?.[MIRROR] !== undefined
}

export function validateAnnotations({ metadata, spec }: Pod, errors: FieldError[]): void {
  const annotations = metadata?.annotations
  if (!annotations) return
  const mirror = annotations[MIRROR]
  if (mirror !== undefined && !spec?.nodeName) {
    const said = 'must set spec.nodeName if mirror pod annotation is set'
    errors.push(invalidValue(`metadata.annotations[${MIRROR}]`, mirror, said))
  }
  const cost = annotations[DELETION_COST]
  if (cost !== undefined && (!/^(?:0|-?[1-9]\d*)$/.test(cost) || Math.abs(Number(cost)) > MAX_COST)) {
    errors.push(invalidValue(`metadata.annotations[${DELETION_COST}]`, cost, 'must be a 32bit integer'))
  }
  const names = new Set(containersOf(spec).map(({ name }) => name))
  for (const [key, value] of Object.entries(annotations)) {
    if (key === SECCOMP_POD || key.startsWith(SECCOMP_CONTAINER))
      validateSeccomp(value, `metadata.annotations.${key}`, errors)
    else if (key.startsWith(APPARMOR)) validateAppArmor(key, value, names, errors)
  }
}

/** Those that decide how a Pod runs stay as it was admitted. */
export function validateAnnotationUpdate(next: Pod, current: Pod, errors: FieldError[]): void {
  const after = new Map(Object.entries(next.metadata?.annotations ?? {}))
  const before = new Map(Object.entries(current.metadata?.annotations ?? {}))
  const forbid = (key: string, said: string): void => void errors.push(forbidden(`metadata.annotations[${key}]`, said))
  for (const [key, value] of before) {
    if (after.get(key) === value) continue
    if (key.startsWith(APPARMOR)) forbid(key, 'may not remove or update AppArmor annotations')
    if (key === MIRROR) forbid(key, 'may not remove or update mirror pod annotation')
  }
  for (const key of after.keys()) {
    if (before.has(key)) continue
    if (key.startsWith(APPARMOR)) forbid(key, 'may not add AppArmor annotations')
    if (key === MIRROR) forbid(key, 'may not add mirror pod annotation')
  }
  // kube-apiserver looks at them once more here.
  validateAnnotations(next, errors)
}

function validateSeccomp(profile: string, path: string, errors: FieldError[]): void {
  if (SECCOMP_PROFILES.includes(profile)) return
  if (!profile.startsWith('localhost/')) {
    errors.push(invalidValue(path, profile, 'must be a valid seccomp profile'))
    return
  }
  const file = profile.slice('localhost/'.length)
  if (file.startsWith('/')) errors.push(invalidValue(path, file, 'must be a relative path'))
  if (file.split('/').includes('..')) errors.push(invalidValue(path, file, "must not contain '..'"))
}

function containersOf(spec: PodSpec | undefined): { name: string }[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])]
}

/** @param names of the Pod's containers */
function validateAppArmor(key: string, profile: string, names: ReadonlySet<string>, errors: FieldError[]): void {
  const path = `metadata.annotations[${key}]`
  const name = key.slice(APPARMOR.length)
  if (!names.has(name)) errors.push(invalidValue(path, name, 'container not found'))
  if (!APPARMOR_PROFILES.includes(profile) && !profile.startsWith('localhost/'))
    errors.push(invalidValue(path, profile, `invalid AppArmor profile name: ${goQuote(profile)}`))
}
