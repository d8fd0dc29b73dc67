/** What a Pod that names its operating system may not say: the fields of the other one. */
import type { PodSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'

type Fields = Readonly<Record<string, unknown>>

const NOT_OF_WINDOWS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'fsGroup',
  'fsGroupChangePolicy',
  'sysctls',
  'runAsUser',
  'runAsGroup',
  'supplementalGroups',
  'supplementalGroupsPolicy',
  'seLinuxChangePolicy',
] as const

const NOT_OF_WINDOWS_CONTAINERS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const

export function validateOs(spec: PodSpec, errors: FieldError[]): void {
  const { os } = spec as { os?: { name?: string } }
  if (!os) return
  if (!os.name) errors.push(required('spec.os.name'))
  else if (os.name === 'linux') validateLinux(spec, errors)
  else if (os.name === 'windows') validateWindows(spec, errors)
  else errors.push(notSupported('spec.os', os.name, ['linux', 'windows']))
}

function validateLinux(spec: PodSpec, errors: FieldError[]): void {
  for (const { context, path } of contextsOf(spec))
    if (isSet(context['windowsOptions']))
      errors.push(forbidden(`${path}.windowsOptions`, 'windows options cannot be set for a linux pod'))
}

function validateWindows(spec: PodSpec, errors: FieldError[]): void {
  const said = 'cannot be set for a windows pod'
  for (const field of ['hostUsers', 'shareProcessNamespace'] as const)
    if (isSet((spec as unknown as Fields)[field])) errors.push(forbidden(`spec.${field}`, said))
  for (const field of ['hostPID', 'hostIPC'] as const) if (spec[field]) errors.push(forbidden(`spec.${field}`, said))
  for (const { context, path, ofPod } of contextsOf(spec))
    for (const field of ofPod ? NOT_OF_WINDOWS : NOT_OF_WINDOWS_CONTAINERS) {
      const value = context[field]
      const isEmptyList = field === 'sysctls' && Array.isArray(value) && value.length === 0
      if (isSet(value) && !isEmptyList) errors.push(forbidden(`${path}.${field}`, said))
    }
}

/** Containers of a Pod of Windows run in the host all together, or none does. */
export function validateHostProcesses(spec: PodSpec, errors: FieldError[]): void {
  const ofPod = hostProcessOf(spec.securityContext as Fields | undefined)
  const containers = containersOf(spec)
  let count = 0
  for (const { container, path } of containers) {
    const own = hostProcessOf(container['securityContext'] as Fields | undefined)
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      const said = `pod hostProcess value must be identical if both are specified, was ${ofPod}`
      errors.push(invalidValue(`${path}.securityContext.windowsOptions.hostProcess`, own, said))
    }
    if (own ?? ofPod) count++
  }
  if (count === 0) return
  if (count !== containers.length) {
    const said = 'If pod contains any hostProcess containers then all containers must be HostProcess containers'
    errors.push(invalidValue('spec', '', said))
  }
  if (!spec.hostNetwork) {
    const said = 'hostNetwork must be true if pod contains any hostProcess containers'
    errors.push(invalidValue('spec.hostNetwork', false, said))
  }
}

function hostProcessOf(context: Fields | undefined): boolean | undefined {
  const { hostProcess } = (context?.['windowsOptions'] ?? {}) as { hostProcess?: boolean }
  return hostProcess
}

interface Context {
  context: Fields
  path: string
  ofPod: boolean
}

function contextsOf(spec: PodSpec): Context[] {
  const ofContainers = containersOf(spec).flatMap(({ container, path }) => {
    const context = container['securityContext'] as Fields | undefined
    return context ? [{ context, path: `${path}.securityContext`, ofPod: false }] : []
  })
  const context = spec.securityContext as Fields | undefined
  return [...(context ? [{ context, path: 'spec.securityContext', ofPod: true }] : []), ...ofContainers]
}

function containersOf(spec: PodSpec): Array<{ container: Fields; path: string }> {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    ((spec[list] ?? []) as unknown as Fields[]).map((container, index) => ({
      container,
      path: `spec.${list}[${index}]`,
    })),
  )
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null
}
