/**
 * Which ConfigMaps and Secrets are watched for which Pods of this node: those of the Pods that it has taken, and of one
 * namespace no more than so many, since each costs a watch.
 */
import type { PodObject } from '@caisson/client'
import type { Eviction } from './pods/observed-pod.ts'
import { type Reference, referenceKey, watchedReferencesOf } from './references.ts'

/** Of one namespace on a node: each takes 20 kB. */
const MOST_OF_NAMESPACE = 4_000

export interface FollowedReferences {
  /** Follows what a new Pod refers to; says why not where its namespace has too many besides. */
  take(pod: PodObject): Eviction | undefined
  /**
   * Follows what a Pod refers to that was taken before, by an earlier agent or with fewer containers. What is too much
   * for its namespace is read without.
   */
  follow(pod: PodObject): void
  /** Of a Pod that needs none any more. */
  leave(uid: string): void
  /** Uids of the Pods that refer to an object. */
  followersOf(reference: Reference): readonly string[]
}

export interface FollowedReferencesOptions {
  retain(reference: Reference): void
  release(reference: Reference): void
}

export function createFollowedReferences({ retain, release }: FollowedReferencesOptions): FollowedReferences {
  /** By key of the reference. */
  const followers = new Map<string, Set<string>>()
  /** By uid and key. */
  const ofPods = new Map<string, Map<string, Reference>>()
  const counts = new Map<string, number>()

  function count(namespace: string, change: 1 | -1): void {
    const now = (counts.get(namespace) ?? 0) + change
    if (now === 0) counts.delete(namespace)
    else counts.set(namespace, now)
  }

  function isFull(namespace: string, more = 1): boolean {
    return (counts.get(namespace) ?? 0) + more > MOST_OF_NAMESPACE
  }

  function add(uid: string, key: string, reference: Reference): void {
    const others = followers.get(key)
    if (!others && isFull(reference.namespace)) return
    const own = ofPods.get(uid) ?? new Map<string, Reference>()
    ofPods.set(uid, own)
    own.set(key, reference)
    if (others) others.add(uid)
    else {
      followers.set(key, new Set([uid]))
      count(reference.namespace, 1)
      retain(reference)
    }
  }

  function follow(pod: PodObject): void {
    const { uid = '' } = pod.metadata
    for (const reference of watchedReferencesOf(pod)) {
      const key = referenceKey(reference)
      if (!ofPods.get(uid)?.has(key)) add(uid, key, reference)
    }
  }

  return {
    follow,
    take(pod) {
      const { namespace = '' } = pod.metadata
      const more = watchedReferencesOf(pod).filter((reference) => !followers.has(referenceKey(reference))).length
      if (more > 0 && isFull(namespace, more))
        return {
          reason: 'OutOfReferences',
          message: `Pods of its namespace refer to ${counts.get(namespace) ?? 0} ConfigMaps and Secrets on this node, and it refers to ${more} others: expected at most ${MOST_OF_NAMESPACE} together`,
        }
      follow(pod)
      return undefined
    },
    leave(uid) {
      const own = ofPods.get(uid)
      ofPods.delete(uid)
      for (const [key, reference] of own ?? []) {
        const others = followers.get(key)
        others?.delete(uid)
        if (others?.size !== 0) continue
        followers.delete(key)
        count(reference.namespace, -1)
        release(reference)
      }
    },
    followersOf: (reference) => [...(followers.get(referenceKey(reference)) ?? [])],
  }
}
