/** Pods that ask for an isolation which they would not get: they are told so, and not begun with less. */
import type { PodObject } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { type AskedProfile, appArmorProfile } from '../containers/security-profiles.ts'
import { allContainers, formatPod, specOf } from './observed-pod.ts'
import type { Handler } from './runtime-handler.ts'

/** Under these a kernel of its own stands between a Pod and the machine, whose users are none of the machine's. */
const OWN_KERNELS: readonly Handler[] = ['runsc', 'kata', 'kata-fc']

/** Throws where the Pod cannot be isolated as it asks. */
export function refuseLessIsolation(pod: PodObject, handler: Handler): void {
  refuseHostNamespaces(pod)
  if (OWN_KERNELS.includes(handler)) return
  if ((specOf(pod) as { hostUsers?: boolean }).hostUsers === false) {
    throw new Error(
      `can't set \`spec.hostUsers: false\`, RuntimeClass handler ${JSON.stringify(handler)} does not support user namespaces: use the RuntimeClass gvisor, whose users are none of the machine's`,
    )
  }
  for (const container of allContainers(pod)) refuseUnconfined(pod, container, handler)
}

/** Throws where a container asks for an AppArmor profile that it would not get. Some come when the sandbox has long been there. */
export function refuseUnconfined(pod: PodObject, container: Container, handler: Handler): void {
  if (OWN_KERNELS.includes(handler) || !isConfined(appArmorProfile(pod, container))) return
  throw new Error(
    `container ${JSON.stringify(container.name)} asks for an AppArmor profile, which handler ${JSON.stringify(handler)} applies to none here: remove appArmorProfile from its securityContext and the Pod's, or use the RuntimeClass gvisor`,
  )
}

function isConfined(profile: AskedProfile | undefined): boolean {
  return profile !== undefined && profile.type !== 'Unconfined'
}

/** A sandbox has namespaces of its own, always. */
function refuseHostNamespaces(pod: PodObject): void {
  const { hostNetwork, hostPID, hostIPC } = specOf(pod)
  const asked = [hostNetwork && 'hostNetwork', hostPID && 'hostPID', hostIPC && 'hostIPC'].filter(Boolean)
  if (asked.length > 0) {
    throw new Error(
      `${formatPod(pod)} asks for ${asked.join(', ')}, which this node gives to no Pod: remove it from the spec`,
    )
  }
}
