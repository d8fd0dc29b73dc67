/** Where a container sees volumes and the files of the Pod. */
import type { PodObject } from '@caisson/client'
import type { Mount } from '@caisson/runtime'
import type { Container, VolumeMount } from 'kubernetes-types/core/v1.d.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PreparedVolume } from '../volumes/prepare-volumes.ts'
import { bindSubPath } from '../volumes/sub-path.ts'
import { ConfigError } from './config-error.ts'
import { expandVariables } from './expand-variables.ts'

export interface ContainerMountsOptions {
  volumes: ReadonlyMap<string, PreparedVolume>
  directories: PodDirectories
  environment: ReadonlyMap<string, string>
  /** Of the file that takes the container's last words. */
  terminationMessage: string
}

const DEFAULT_TERMINATION_PATH = '/dev/termination-log'

/** Throws a ConfigError where a mount cannot be made. */
export async function containerMounts(
  pod: PodObject,
  container: Container,
  options: ContainerMountsOptions,
): Promise<Mount[]> {
  const { directories, terminationMessage } = options
  const uid = pod.metadata.uid ?? ''
  const mounts: Mount[] = []
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    mounts.push(await volumeMount(pod, container, { ...options, mount, index }))
  }
  const files: Array<[destination: string, source: string]> = [
    ['/etc/hosts', directories.etcFile(uid, 'hosts')],
    ['/etc/hostname', directories.etcFile(uid, 'hostname')],
    ['/etc/resolv.conf', directories.etcFile(uid, 'resolv.conf')],
    [absolute(container.terminationMessagePath || DEFAULT_TERMINATION_PATH), terminationMessage],
  ]
  for (const [destination, source] of files) {
    // What the Pod itself mounts there wins.
    if (mounts.some((mount) => mount.destination === destination)) continue
    mounts.push({ destination, source, kind: 'bind', readOnly: false })
  }
  // What is mounted within another mount comes after it.
  return mounts
    .map((mount, order) => ({ mount, order, depth: mount.destination.split('/').length }))
    .sort((a, b) => a.depth - b.depth || a.order - b.order)
    .map(({ mount }) => mount)
}

async function volumeMount(
  pod: PodObject,
  container: Container,
  { mount, index, volumes, directories, environment }: ContainerMountsOptions & { mount: VolumeMount; index: number },
): Promise<Mount> {
  const volume = volumes.get(mount.name)
  if (!volume) {
    throw new ConfigError(
      `cannot find volume ${JSON.stringify(mount.name)} to mount into container ${JSON.stringify(container.name)}`,
    )
  }
  if (mount.mountPropagation && mount.mountPropagation !== 'None') {
    throw new ConfigError(
      `mountPropagation ${mount.mountPropagation} of volumeMount ${JSON.stringify(mount.name)} is not supported on this node: use None`,
    )
  }
  const subPath = mount.subPathExpr ? expandSubPath(mount.subPathExpr, environment) : (mount.subPath ?? '')
  const destination = absolute(mount.mountPath)
  const readOnly = volume.readOnly || mount.readOnly === true
  if (subPath === '') return { destination, source: volume.path, kind: 'bind', readOnly }
  if (subPath.startsWith('/')) throw new ConfigError(`error SubPath \`${subPath}\` must not be an absolute path`)
  if (subPath.split('/').includes('..')) {
    throw new ConfigError(`unable to provision SubPath \`${subPath}\`: must not contain '..'`)
  }
  const target = directories.subPath(pod.metadata.uid ?? '', container.name, index)
  try {
    await bindSubPath({ volume: volume.path, subPath, target })
  } catch (error) {
    // What was found on the way is not for the tenant to know.
    throw new ConfigError(
      `failed to prepare subPath for volumeMount ${JSON.stringify(mount.name)} of container ${JSON.stringify(container.name)}`,
      { cause: error },
    )
  }
  return { destination, source: target, kind: 'bind', readOnly }
}

function expandSubPath(expression: string, environment: ReadonlyMap<string, string>): string {
  const missing = new Set<string>()
  const expanded = expandVariables(expression, (name) => {
    const value = environment.get(name)
    if (value === undefined) missing.add(name)
    return value
  })
  if (missing.size > 0)
    throw new ConfigError(`missing value for ${[...missing].map((name) => JSON.stringify(name)).join(', ')}`)
  return expanded
}

function absolute(path: string): string {
  const rooted = path.startsWith('/') ? path : `/${path}`
  // Without a trailing slash or doubled ones, so that equal paths are equal.
  return rooted.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1')
}
