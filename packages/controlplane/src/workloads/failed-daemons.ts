/**
 * When Pods of DaemonSets that have failed may be replaced. One that fails on its node again soon after it was replaced
 * waits for longer each time, or what a node never takes would be made anew without end.
 */
import type { PodObject, Typed } from '@caisson/client'
import type { DaemonSet } from 'kubernetes-types/apps/v1.d.ts'

export interface FailedDaemons {
  /**
   * @param pods all of the set that there are
   * @param now ms since the epoch
   * @returns by UID, for those that have failed; ms since the epoch
   */
  replaceableAt(set: Typed<DaemonSet>, pods: readonly PodObject[], now: number): ReadonlyMap<string, number>
  forget(set: Typed<DaemonSet>): void
}

/** kube-controller-manager's bounds. */
const FIRST_MS = 1_000
const LONGEST_MS = 900_000

/** Of one node. */
interface Place {
  /** When each that has failed there may be replaced, by UID. */
  failed: Map<string, number>
  /** When the last one may be, or could. */
  at: number
  /** What the next one waits for from then on. */
  delay: number
}

export function createFailedDaemons(): FailedDaemons {
  /** By the UID of the set. What has failed says nothing of the set as it is written now. */
  const sets = new Map<string, { generation: number | undefined; places: Map<string, Place> }>()

  function placesOf({ metadata: { uid = '', generation } }: Typed<DaemonSet>): Map<string, Place> {
    const known = sets.get(uid)
    if (known && known.generation === generation) return known.places
    const places = new Map<string, Place>()
    sets.set(uid, { generation, places })
    return places
  }

  return {
    replaceableAt(set, pods, now) {
      const places = placesOf(set)
      const all = new Map<string, number>()
      const failing = Map.groupBy(
        pods.filter(({ status }) => status?.phase === 'Failed'),
        ({ spec }) => spec?.nodeName ?? '',
      )
      for (const [node, failed] of failing) {
        let place = places.get(node)
        for (const { metadata } of failed) {
          const uid = metadata.uid ?? ''
          const known = place?.failed.get(uid)
          if (known === undefined) place = next(place, uid, now)
          all.set(uid, known ?? place?.at ?? now)
        }
        if (place) places.set(node, withoutOthers(place, failed))
      }
      return all
    },
    forget: ({ metadata }) => void sets.delete(metadata.uid ?? ''),
  }
}

/** One more has failed. */
function next(before: Place | undefined, uid: string, now: number): Place {
  const recent = before && now - before.at < 2 * LONGEST_MS ? before : undefined
  const at = recent ? Math.max(now, recent.at + recent.delay) : now
  const delay = recent ? Math.min(2 * recent.delay, LONGEST_MS) : FIRST_MS
  return { failed: new Map([...(before?.failed ?? []), [uid, at]]), at, delay }
}

function withoutOthers(place: Place, pods: readonly PodObject[]): Place {
  const uids = new Set(pods.map(({ metadata }) => metadata.uid ?? ''))
  return { ...place, failed: new Map([...place.failed].filter(([uid]) => uids.has(uid))) }
}
