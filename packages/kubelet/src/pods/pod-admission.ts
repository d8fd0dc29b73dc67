/** Which Pods a node does not begin with at all: those of another system, those that ask for what is not the Pod's alone, and those that would keep it busy with one tenant's work alone. */
import type { PodObject } from '@caisson/client'
import { forbiddenSysctl } from '../containers/sysctls.ts'
import { countReferences, MOST_REFERENCES } from '../references.ts'
import type { Eviction } from './observed-pod.ts'
import { initContainers, specOf } from './observed-pod.ts'

/**
 * What one Pod may ask of a node. Each container costs a start of a fifth of a second, each volume files and perhaps a
 * mount, each mount of a container a place in its OCI bundle, each reference a read and perhaps a watch; the API's bound
 * on an object's size lets through tens of thousands of them.
 */
const LIMITS = { containers: 100, volumes: 256, 'volume mounts': 2_000, references: MOST_REFERENCES } as const

/** Why this node, which allows these kernel parameters beside the safe ones, does not take the Pod; undefined where it does. */
export function podRejection(pod: PodObject, allowedSysctls?: readonly string[]): Eviction | undefined {
  return forbiddenSysctl(pod, allowedSysctls) ?? ofAnotherSystem(pod) ?? tooLarge(pod)
}

/** Pod Security does not ask of such a Pod what it asks of Linux: begun here it would be bound by nothing. In kubelet's words. */
function ofAnotherSystem(pod: PodObject): Eviction | undefined {
  const { os } = specOf(pod) as { os?: { name: string } }
  if (!os || os.name === 'linux') return undefined
  return { reason: 'PodOSNotSupported', message: "Failed to admit pod as the OS field doesn't match node OS" }
}

function tooLarge(pod: PodObject): Eviction | undefined {
  const { containers, volumes = [] } = specOf(pod)
  const all = [...initContainers(pod), ...containers]
  const asked = {
    containers: all.length,
    volumes: volumes.length,
    'volume mounts': all.reduce((sum, { volumeMounts = [] }) => sum + volumeMounts.length, 0),
    references: countReferences(pod),
  }
  for (const what of Object.keys(LIMITS) as (keyof typeof LIMITS)[]) {
    if (asked[what] > LIMITS[what]) {
      return {
        reason: 'PodTooLarge',
        message: `it has ${asked[what]} ${what}, and this node takes at most ${LIMITS[what]} in one Pod`,
      }
    }
  }
  return undefined
}
