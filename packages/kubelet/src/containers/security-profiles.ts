/** Profiles of seccomp and AppArmor that containers ask for. */
import type { PodObject } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { specOf } from '../pods/observed-pod.ts'

export interface AskedProfile {
  type: string
  localhostProfile?: string
}

/** Of AppArmor, before it had fields. */
const ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'

/** This node has no profile of that name: nothing weaker is taken for it. */
class MissingProfileError extends Error {
  override readonly name = 'MissingProfileError'
  readonly code = 'profile-not-found'
}

/** Throws a MissingProfileError where the container asks for a profile of the node's own, of which there are none. */
export function refuseLocalProfiles(pod: PodObject, container: Container): void {
  const asked = { seccomp: seccompProfile(pod, container), AppArmor: appArmorProfile(pod, container) }
  for (const [what, profile] of Object.entries(asked)) {
    if (profile?.type !== 'Localhost') continue
    throw new MissingProfileError(
      `container ${JSON.stringify(container.name)} asks for the ${what} profile ${JSON.stringify(profile.localhostProfile ?? '')}, and this node has none of its own: use RuntimeDefault`,
    )
  }
}

/** The container's own before the Pod's. */
export function appArmorProfile(pod: PodObject, { name, securityContext }: Container): AskedProfile | undefined {
  const annotated = pod.metadata.annotations?.[`${ANNOTATION}${name}`]
  return fieldOf(securityContext, 'appArmorProfile') ?? fromAnnotation(annotated) ?? ofPod(pod, 'appArmorProfile')
}

function seccompProfile(pod: PodObject, { securityContext }: Container): AskedProfile | undefined {
  return fieldOf(securityContext, 'seccompProfile') ?? ofPod(pod, 'seccompProfile')
}

type Field = 'appArmorProfile' | 'seccompProfile'

function ofPod(pod: PodObject, field: Field): AskedProfile | undefined {
  return fieldOf(specOf(pod).securityContext, field)
}

function fieldOf(context: object | undefined, field: Field): AskedProfile | undefined {
  return (context as Partial<Record<Field, AskedProfile>> | undefined)?.[field]
}

function fromAnnotation(value: string | undefined): AskedProfile | undefined {
  if (!value) return undefined
  if (value === 'runtime/default') return { type: 'RuntimeDefault' }
  if (value.startsWith('localhost/')) return { type: 'Localhost', localhostProfile: value.slice('localhost/'.length) }
  return { type: 'Unconfined' }
}
