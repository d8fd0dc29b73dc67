/** `securityContext` of Pods and containers. What a policy forbids is admission's business, not this file's. */
import type { PodSecurityContext, SecurityContext } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, goJson, invalidValue, notSupported, required, tooLong } from '../field-error.ts'
import { unixId } from '../names.ts'
import { validateLocalDescendingPath } from './file-paths.ts'

interface Profile {
  type?: string
  localhostProfile?: string
}

export function validateContainerSecurityContext(
  context: SecurityContext & { appArmorProfile?: Profile },
  hostUsers: boolean,
  path: string,
  errors: FieldError[],
): void {
  validateIds(context, path, errors)
  const { procMount } = context
  if (procMount !== undefined) {
    if (procMount !== 'Default' && procMount !== 'Unmasked') {
      errors.push(notSupported(`${path}.procMount`, procMount, ['Default', 'Unmasked']))
    }
    if (hostUsers && procMount === 'Unmasked') {
      errors.push(invalidValue(`${path}.procMount`, procMount, '`hostUsers` must be false to use `Unmasked`'))
    }
  }
  if (context.seccompProfile) validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`, errors)
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged) {
      const said = 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'
      errors.push(invalidContext(context, path, said))
    }
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
      const said = 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'
      errors.push(invalidContext(context, path, said))
    }
  }
  if (context.appArmorProfile) validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`, errors)
}

/** kube-apiserver prints its internal struct: every field, by its Go name. */
function invalidContext(
  context: SecurityContext & { appArmorProfile?: Profile },
  path: string,
  said: string,
): FieldError {
  const { capabilities, seLinuxOptions, seccompProfile, appArmorProfile, windowsOptions } = context
  const printed = goJson({
    Capabilities: capabilities ? { Add: capabilities.add ?? null, Drop: capabilities.drop ?? null } : null,
    Privileged: context.privileged ?? null,
    SELinuxOptions: seLinuxOptions ?? null,
    WindowsOptions: windowsOptions ?? null,
    RunAsUser: context.runAsUser ?? null,
    RunAsGroup: context.runAsGroup ?? null,
    RunAsNonRoot: context.runAsNonRoot ?? null,
    ReadOnlyRootFilesystem: context.readOnlyRootFilesystem ?? null,
    AllowPrivilegeEscalation: context.allowPrivilegeEscalation ?? null,
    ProcMount: context.procMount ?? null,
    SeccompProfile: goProfile(seccompProfile),
    AppArmorProfile: goProfile(appArmorProfile),
  })
  return { type: 'FieldValueInvalid', field: path, message: `Invalid value: ${printed}: ${said}` }
}

function goProfile(profile: Profile | undefined): unknown {
  return profile ? { Type: profile.type ?? '', LocalhostProfile: profile.localhostProfile ?? null } : null
}

function validateIds(
  context: { runAsUser?: number; runAsGroup?: number; fsGroup?: number },
  path: string,
  errors: FieldError[],
): void {
  for (const field of ['fsGroup', 'runAsUser', 'runAsGroup'] as const) {
    const id = context[field]
    if (id === undefined) continue
    for (const said of unixId(id)) errors.push(invalidValue(`${path}.${field}`, id, said))
  }
}

type FullPodSecurityContext = PodSecurityContext & {
  appArmorProfile?: Profile
  supplementalGroupsPolicy?: string
  seLinuxChangePolicy?: string
}

export function validatePodSecurityContext(context: FullPodSecurityContext, path: string, errors: FieldError[]): void {
  validateIds(context, path, errors)
  context.supplementalGroups?.forEach((id, index) => {
    for (const said of unixId(id)) errors.push(invalidValue(`${path}.supplementalGroups[${index}]`, id, said))
  })
  validateSysctls(context.sysctls ?? [], `${path}.sysctls`, errors)
  const { fsGroupChangePolicy, supplementalGroupsPolicy, seLinuxChangePolicy } = context
  if (
    fsGroupChangePolicy !== undefined &&
    fsGroupChangePolicy !== 'Always' &&
    fsGroupChangePolicy !== 'OnRootMismatch'
  ) {
    errors.push(notSupported(`${path}.fsGroupChangePolicy`, fsGroupChangePolicy, ['Always', 'OnRootMismatch']))
  }
  if (context.seccompProfile) validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`, errors)
  if (context.appArmorProfile) validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`, errors)
  if (
    supplementalGroupsPolicy !== undefined &&
    supplementalGroupsPolicy !== 'Merge' &&
    supplementalGroupsPolicy !== 'Strict'
  ) {
    errors.push(notSupported(`${path}.supplementalGroupsPolicy`, supplementalGroupsPolicy, ['Merge', 'Strict']))
  }
  // MountOption is for a feature that is off by default.
  if (seLinuxChangePolicy !== undefined && seLinuxChangePolicy !== 'Recursive')
    errors.push(notSupported(`${path}.seLinuxChangePolicy`, seLinuxChangePolicy, ['Recursive']))
}

const SYSCTL = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SYSCTL_NAME = `(${SYSCTL}[\\./])*${SYSCTL}`
// Segments are split off first: the expression as a whole could be made to take quadratic time.
const sysctlSegment = new RegExp(`^${SYSCTL}$`)

function validateSysctls(sysctls: ReadonlyArray<{ name: string }>, path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  sysctls.forEach(({ name }, index) => {
    const at = `${path}[${index}].name`
    if (!name) errors.push(required(at))
    else if (name.length > 253 || !name.split(/[./]/).every((segment) => sysctlSegment.test(segment))) {
      errors.push(invalidValue(at, name, `must have at most 253 characters and match regex ^${SYSCTL_NAME}$`))
    } else if (seen.has(name)) errors.push(duplicate(at, name))
    seen.add(name)
  })
}

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined']

function validateSeccompProfile(profile: Profile, path: string, errors: FieldError[]): void {
  const { type = '', localhostProfile } = profile
  if (!type) errors.push(required(`${path}.type`, 'type is required when seccompProfile is set'))
  else if (!PROFILE_TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, PROFILE_TYPES))
  if (type === 'Localhost') {
    if (localhostProfile === undefined) {
      errors.push(required(`${path}.localhostProfile`, 'must be set when seccomp type is Localhost'))
    } else validateLocalDescendingPath(localhostProfile, `${path}.localhostProfile`, errors)
  } else if (localhostProfile !== undefined) {
    const said = 'can only be set when seccomp type is Localhost'
    errors.push(invalidValue(`${path}.localhostProfile`, goProfile(profile), said))
  }
}

function validateAppArmorProfile(profile: Profile, path: string, errors: FieldError[]): void {
  const { type = '', localhostProfile } = profile
  const at = `${path}.localhostProfile`
  if (type === 'Localhost') {
    if (!localhostProfile) errors.push(required(at, 'must be set when AppArmor type is Localhost'))
    else if (localhostProfile.trim() !== localhostProfile) {
      errors.push(invalidValue(at, localhostProfile, 'must not be padded with whitespace'))
    }
    if (Buffer.byteLength(localhostProfile ?? '') > 4095) errors.push(tooLong(at, 4095))
  } else if (type === 'RuntimeDefault' || type === 'Unconfined') {
    if (localhostProfile !== undefined) {
      errors.push(invalidValue(at, localhostProfile, 'can only be set when AppArmor type is Localhost'))
    }
  } else if (!type) errors.push(required(`${path}.type`, 'type is required when appArmorProfile is set'))
  else errors.push(notSupported(`${path}.type`, type, PROFILE_TYPES))
}
