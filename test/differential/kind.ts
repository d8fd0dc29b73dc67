/** A kind that the script works with. */
import type { Random } from './script.ts'

interface Place {
  /** `/api/v1` or `/apis/group/version`. */
  root: string
  apiVersion: string
  kind: string
  plural: string
  namespaced: boolean
}

export interface Kind extends Place {
  /** Fields of a valid object beyond its metadata. */
  make(random: Random): Record<string, unknown>
  /** Merge patches that a valid object may or may not accept. */
  changes: ReadonlyArray<Record<string, unknown>>
}

export function namespaced(apiVersion: string, kind: string, plural: string): Place {
  return { ...clusterWide(apiVersion, kind, plural), namespaced: true }
}

export function clusterWide(apiVersion: string, kind: string, plural: string): Place {
  const root = `${apiVersion.includes('/') ? '/apis' : '/api'}/${apiVersion}`
  return { root, apiVersion, kind, plural, namespaced: false }
}
