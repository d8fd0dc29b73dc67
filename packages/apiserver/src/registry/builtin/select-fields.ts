/** What field selectors can select by. */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '../resource.ts'

/** A field by its path; absent is the empty string, as field selectors have it. */
export function field(path: string, otherwise = ''): (object: KubeObject) => string {
  const keys = path.split('.')
  return (object) => {
    let value: unknown = object
    for (const key of keys) value = (value as Record<string, unknown> | undefined | null)?.[key]
    if (typeof value === 'boolean' || typeof value === 'number') return String(value)
    return typeof value === 'string' && value !== '' ? value : otherwise
  }
}

export function fields(...paths: string[]): Resource['selectableFields'] {
  return Object.fromEntries(paths.map((path) => [path, field(path)]))
}
