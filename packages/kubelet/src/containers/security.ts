/** As whom a container runs and what it may do: the Pod's and the container's security contexts over the image's user. */
import type { PodObject } from '@caisson/client'
import type { Image, Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { formatPod, specOf } from '../pods/observed-pod.ts'
import { ConfigError } from './config-error.ts'
import { refuseLocalProfiles } from './security-profiles.ts'

export interface ContainerSecurity {
  user: { uid: number; gid: number; additionalGids: number[] }
  capabilities: string[]
  privileged: boolean
  readOnlyRootfs: boolean
  noNewPrivileges: boolean
}

/** What a container may do that asks for nothing, with every container engine of the field. */
const DEFAULT_CAPABILITIES = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]

/** Everything else that Linux knows, for `add: [ALL]`. */
const OTHER_CAPABILITIES = `AUDIT_CONTROL AUDIT_READ BLOCK_SUSPEND BPF CHECKPOINT_RESTORE DAC_READ_SEARCH IPC_LOCK
IPC_OWNER LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE NET_ADMIN NET_BROADCAST PERFMON SYSLOG SYS_ADMIN SYS_BOOT
SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`.split(/\s+/)

/**
 * Throws a ConfigError where the Pod may not run as it asks, a MissingProfileError where this node has no such profile, a
 * RuntimeError where the image does not know the user.
 */
export async function containerSecurity(
  pod: PodObject,
  container: Container,
  { image, images }: { image: Image; images: Pick<Runtime['images'], 'resolveUser'> },
): Promise<ContainerSecurity> {
  refuseLocalProfiles(pod, container)
  const own = container.securityContext ?? {}
  const common = specOf(pod).securityContext ?? {}
  const runAsUser = own.runAsUser ?? common.runAsUser
  const runAsGroup = own.runAsGroup ?? common.runAsGroup
  if (own.runAsNonRoot ?? common.runAsNonRoot) verifyNonRoot(pod, container, { runAsUser, imageUser: image.user })

  const found = await images.resolveUser(image, runAsUser === undefined ? image.user : String(runAsUser))
  const strict = (common as { supplementalGroupsPolicy?: string }).supplementalGroupsPolicy === 'Strict'
  const gid = runAsGroup ?? found.gid
  // The primary one is among them, as with every engine of the field: a program that takes another primary group would
  // otherwise get at files that are kept from its own (CVE-2022-36109).
  const groups = [
    gid,
    ...(strict ? [] : found.additionalGids),
    ...(common.supplementalGroups ?? []),
    ...(common.fsGroup === undefined ? [] : [common.fsGroup]),
  ]
  return {
    user: {
      uid: runAsUser ?? found.uid,
      gid,
      additionalGids: [...new Set(groups)].sort((a, b) => a - b),
    },
    capabilities: capabilities(own.capabilities ?? {}),
    privileged: own.privileged ?? false,
    readOnlyRootfs: own.readOnlyRootFilesystem ?? false,
    noNewPrivileges: own.allowPrivilegeEscalation === false,
  }
}

/** In kubelet's words. */
function verifyNonRoot(
  pod: PodObject,
  container: Container,
  { runAsUser, imageUser }: { runAsUser: number | undefined; imageUser: string },
): void {
  const where = `(pod: ${JSON.stringify(formatPod(pod))}, container: ${container.name})`
  if (runAsUser !== undefined) {
    if (runAsUser === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${where}`)
    return
  }
  const user = imageUser.split(':')[0] ?? ''
  if (user === '' || /^0+$/.test(user)) {
    throw new ConfigError(`container has runAsNonRoot and image will run as root ${where}`)
  }
  if (!/^\d+$/.test(user)) {
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${user}), cannot verify user is non-root ${where}`,
    )
  }
}

/** With OCI's prefix. `ALL` in `add` or `drop` comes first, whatever the order; then what is added, then what is dropped. */
export function capabilities({ add = [], drop = [] }: { add?: string[]; drop?: string[] }): string[] {
  const plain = (name: string) => name.toUpperCase().replace(/^CAP_/, '')
  const added = add.map(plain)
  const dropped = drop.map(plain)
  const held = new Set(DEFAULT_CAPABILITIES)
  if (added.includes('ALL')) for (const name of OTHER_CAPABILITIES) held.add(name)
  if (dropped.includes('ALL')) held.clear()
  for (const name of added) if (name !== 'ALL') held.add(name)
  for (const name of dropped) held.delete(name)
  return [...held].sort().map((name) => `CAP_${name}`)
}
