/** Containers of all three kinds: what they have in common, and what each kind may not have. */
import type { Container, ContainerPort, PodSpec, Volume, VolumeDevice, VolumeMount } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notFound, notSupported, required } from '../field-error.ts'
import { dns1123Label, portName, portNumber } from '../names.ts'
import { validateEnvironment, validateEnvironmentFrom } from './environment.ts'
import { validateLocalDescendingPath } from './file-paths.ts'
import { validateProbesAndHooks } from './probes.ts'
import { type ResourceRequirements, validateResourceRequirements } from './resource-requirements.ts'
import { validateContainerSecurityContext } from './security-context.ts'
import { validatePullPolicy } from './volumes.ts'

/** What the containers of one Pod are checked against. */
export interface ContainerScope {
  volumes: ReadonlyMap<string, Volume>
  claimNames: ReadonlySet<string>
  gracePeriod: number | undefined
  restartPolicy: string
  hostUsers: boolean
}

export function validateContainers(
  containers: readonly Container[],
  scope: ContainerScope,
  path: string,
  errors: FieldError[],
): void {
  if (containers.length === 0) {
    errors.push(required(path))
    return
  }
  const names = new Set<string>()
  containers.forEach((container, index) => {
    const at = `${path}[${index}]`
    validateCommon(container, scope, at, errors)
    takeName(container.name, names, at, errors)
    validateProbesAndHooks(container, scope.gracePeriod, at, errors)
    if (container.restartPolicy !== undefined) {
      errors.push(forbidden(`${at}.restartPolicy`, 'may not be set for non-init containers'))
    }
  })
  validateHostPortsUnique(containers, path, errors)
}

export function validateInitContainers(
  containers: readonly Container[],
  regular: readonly Container[],
  scope: ContainerScope,
  path: string,
  errors: FieldError[],
): void {
  const names = new Set(regular.map(({ name }) => name))
  containers.forEach((container, index) => {
    const at = `${path}[${index}]`
    validateCommon(container, scope, at, errors)
    const { restartPolicy } = container
    if (restartPolicy !== undefined && restartPolicy !== 'Always') {
      errors.push(notSupported(`${at}.restartPolicy`, restartPolicy, ['Always']))
    }
    takeName(container.name, names, at, errors)
    // One at a time: they run one after another, so that they may share a port.
    validateHostPortsUnique([container], path, errors)
    if (restartPolicy === 'Always') {
      validateProbesAndHooks(container, scope.gracePeriod, at, errors)
      return
    }
    for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[field]) {
        errors.push(forbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'))
      }
    }
  })
}

const FORBIDDEN_IN_EPHEMERAL = [
  'ports',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const

export function validateEphemeralContainers(
  containers: NonNullable<PodSpec['ephemeralContainers']>,
  others: readonly Container[],
  scope: ContainerScope,
  path: string,
  errors: FieldError[],
): void {
  const names = new Set(others.map(({ name }) => name))
  const targets = new Set(names)
  containers.forEach((container, index) => {
    const at = `${path}[${index}]`
    validateCommon(container as Container, scope, at, errors)
    validateImageUnpadded(container.image ?? '', at, errors)
    takeName(container.name, names, at, errors)
    const target = container.targetContainerName
    if (target && !targets.has(target)) errors.push(notFound(`${at}.targetContainerName`, target))
    for (const field of FORBIDDEN_IN_EPHEMERAL) {
      const value = (container as unknown as Record<string, unknown>)[field]
      const isEmpty = field === 'ports' || field === 'resources' ? Object.keys(value ?? {}).length === 0 : false
      if (value !== undefined && !isEmpty) {
        errors.push(forbidden(`${at}.${field}`, 'cannot be set for an Ephemeral Container'))
      }
    }
    container.volumeMounts?.forEach((mount, position) => {
      for (const field of ['subPath', 'subPathExpr'] as const) {
        if (mount[field]) {
          errors.push(forbidden(`${at}.volumeMounts[${position}].${field}`, 'cannot be set for an Ephemeral Container'))
        }
      }
    })
  })
}

/** Only Pods, not templates, have to name their images exactly. */
export function validateImageUnpadded(image: string, path: string, errors: FieldError[]): void {
  if (image.trim() !== image) {
    errors.push(invalidValue(`${path}.image`, image, 'must not have leading or trailing whitespace'))
  }
}

function takeName(name: string, names: Set<string>, path: string, errors: FieldError[]): void {
  if (names.has(name)) errors.push(duplicate(`${path}.name`, name))
  else if (name) names.add(name)
}

function validateCommon(container: Container, scope: ContainerScope, path: string, errors: FieldError[]): void {
  if (!container.name) errors.push(required(`${path}.name`))
  else for (const said of dns1123Label(container.name)) errors.push(invalidValue(`${path}.name`, container.name, said))
  if (!container.image) errors.push(required(`${path}.image`))
  const policy = container.terminationMessagePolicy
  if (!policy) errors.push(required(`${path}.terminationMessagePolicy`))
  else if (policy !== 'File' && policy !== 'FallbackToLogsOnError') {
    errors.push(notSupported(`${path}.terminationMessagePolicy`, policy, ['File', 'FallbackToLogsOnError']))
  }
  if (container.ports) validatePorts(container.ports, `${path}.ports`, errors)
  if (container.env) validateEnvironment(container.env, `${path}.env`, errors)
  if (container.envFrom) validateEnvironmentFrom(container.envFrom, `${path}.envFrom`, errors)
  if (container.volumeMounts) validateVolumeMounts(container, scope, `${path}.volumeMounts`, errors)
  if (container.volumeDevices)
    validateVolumeDevices(container.volumeDevices, container, scope, `${path}.volumeDevices`, errors)
  validatePullPolicy(container.imagePullPolicy ?? '', `${path}.imagePullPolicy`, errors)
  if (container.resources) {
    const resources = container.resources as ResourceRequirements
    validateResourceRequirements(resources, `${path}.resources`, errors, { claimNames: scope.claimNames })
  }
  if (container.resizePolicy) validateResizePolicy(container.resizePolicy, scope, `${path}.resizePolicy`, errors)
  if (container.securityContext) {
    validateContainerSecurityContext(container.securityContext, scope.hostUsers, `${path}.securityContext`, errors)
  }
}

function validatePorts(ports: readonly ContainerPort[], path: string, errors: FieldError[]): void {
  const names = new Set<string>()
  ports.forEach((port, index) => {
    const at = `${path}[${index}]`
    if (port.name) {
      const said = portName(port.name)
      for (const error of said) errors.push(invalidValue(`${at}.name`, port.name, error))
      if (!said.length && names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name))
      names.add(port.name)
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`))
    else {
      for (const said of portNumber(port.containerPort)) {
        errors.push(invalidValue(`${at}.containerPort`, port.containerPort, said))
      }
    }
    if (port.hostPort) {
      for (const said of portNumber(port.hostPort)) errors.push(invalidValue(`${at}.hostPort`, port.hostPort, said))
    }
    const protocol = port.protocol as string | undefined
    if (!protocol) errors.push(required(`${at}.protocol`))
    else if (!['TCP', 'UDP', 'SCTP'].includes(protocol)) {
      errors.push(notSupported(`${at}.protocol`, protocol, ['SCTP', 'TCP', 'UDP']))
    }
  })
}

function validateHostPortsUnique(containers: readonly Container[], path: string, errors: FieldError[]): void {
  const taken = new Set<string>()
  containers.forEach((container, index) => {
    container.ports?.forEach((port, position) => {
      if (!port.hostPort) return
      const key = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
      if (taken.has(key)) errors.push(duplicate(`${path}[${index}].ports[${position}].hostPort`, key))
      taken.add(key)
    })
  })
}

function validateVolumeMounts(container: Container, scope: ContainerScope, path: string, errors: FieldError[]): void {
  const points = new Set<string>()
  const deviceNames = new Set(container.volumeDevices?.map((device) => device.name))
  const devicePaths = new Set(container.volumeDevices?.map((device) => device.devicePath))
  container.volumeMounts?.forEach((mount, index) => {
    const at = `${path}[${index}]`
    const { name, mountPath, subPath, subPathExpr } = mount
    if (!name) errors.push(required(`${at}.name`))
    if (!scope.volumes.has(name)) errors.push(notFound(`${at}.name`, name))
    if (!mountPath) errors.push(required(`${at}.mountPath`))
    if (points.has(mountPath)) errors.push(invalidValue(`${at}.mountPath`, mountPath, 'must be unique'))
    points.add(mountPath)
    if (deviceNames.has(name)) {
      errors.push(invalidValue(`${at}.name`, name, 'must not already exist in volumeDevices'))
    }
    if (devicePaths.has(mountPath)) {
      errors.push(invalidValue(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices'))
    }
    // Kubernetes leaves the index out of the paths of these.
    if (subPath) validateLocalDescendingPath(subPath, `${path}.subPath`, errors)
    if (subPathExpr) {
      if (subPath) {
        errors.push(invalidValue(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
      }
      validateLocalDescendingPath(subPathExpr, `${path}.subPathExpr`, errors)
    }
    validatePropagation(mount, container, path, errors)
  })
}

function validatePropagation(
  mount: VolumeMount & { recursiveReadOnly?: string },
  container: Container,
  path: string,
  errors: FieldError[],
): void {
  const { mountPropagation: propagation, recursiveReadOnly: recursive } = mount
  if (propagation !== undefined) {
    const supported = ['Bidirectional', 'HostToContainer', 'None']
    if (!supported.includes(propagation)) errors.push(notSupported(`${path}.mountPropagation`, propagation, supported))
    if (propagation === 'Bidirectional' && !container.securityContext?.privileged) {
      const said = 'Bidirectional mount propagation is available only to privileged containers'
      errors.push(forbidden(`${path}.mountPropagation`, said))
    }
  }
  if (recursive === undefined || recursive === 'Disabled') return
  const at = `${path}.recursiveReadOnly`
  if (recursive !== 'Enabled' && recursive !== 'IfPossible') {
    errors.push(notSupported(at, recursive, ['Disabled', 'Enabled', 'IfPossible']))
    return
  }
  if (!mount.readOnly) errors.push(forbidden(at, 'may only be specified when readOnly is true'))
  if (propagation !== undefined && propagation !== 'None') {
    errors.push(forbidden(at, 'may only be specified when mountPropagation is None or not specified'))
  }
}

function validateVolumeDevices(
  devices: readonly VolumeDevice[],
  container: Container,
  scope: ContainerScope,
  path: string,
  errors: FieldError[],
): void {
  const names = new Set<string>()
  const paths = new Set<string>()
  const mountNames = new Set(container.volumeMounts?.map((mount) => mount.name))
  const mountPaths = new Set(container.volumeMounts?.map((mount) => mount.mountPath))
  devices.forEach(({ name, devicePath }, index) => {
    const at = `${path}[${index}]`
    const volume = scope.volumes.get(name)
    if (!name) errors.push(required(`${at}.name`))
    if (names.has(name)) errors.push(invalidValue(`${at}.name`, name, 'must be unique'))
    if (!volume) errors.push(notFound(`${at}.name`, name))
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
      const said = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'
      errors.push(invalidValue(`${at}.name`, name, said))
    }
    if (!devicePath) errors.push(required(`${at}.devicePath`))
    if (paths.has(devicePath)) errors.push(invalidValue(`${at}.devicePath`, devicePath, 'must be unique'))
    if (devicePath.split('/').includes('..')) {
      errors.push(invalidValue(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"))
    } else paths.add(devicePath)
    if (mountNames.has(name)) {
      errors.push(invalidValue(`${at}.name`, name, 'must not already exist in volumeMounts'))
    }
    if (mountPaths.has(devicePath)) {
      errors.push(invalidValue(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'))
    }
    if (name) names.add(name)
  })
}

function validateResizePolicy(
  policies: NonNullable<Container['resizePolicy']>,
  scope: ContainerScope,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  policies.forEach(({ resourceName, restartPolicy }, index) => {
    if (seen.has(resourceName)) errors.push(duplicate(`${path}[${index}]`, resourceName))
    seen.add(resourceName)
    if (!resourceName) errors.push(required(path))
    else if (resourceName !== 'cpu' && resourceName !== 'memory') {
      errors.push(notSupported(path, resourceName, ['cpu', 'memory']))
    }
    if (!restartPolicy) errors.push(required(path))
    else if (restartPolicy !== 'NotRequired' && restartPolicy !== 'RestartContainer') {
      errors.push(notSupported(path, restartPolicy, ['NotRequired', 'RestartContainer']))
    }
    if (scope.restartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      errors.push(invalidValue(path, restartPolicy, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
    }
  })
}
