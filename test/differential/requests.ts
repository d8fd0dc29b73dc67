/** What the parts of the script are written with. */
import type { Kind } from './kinds.ts'
import type { Random, Request, Step } from './script.ts'

export const PATCHES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

export interface Writer {
  random: Random
  add(label: string, request: Step['request']): void
}

export function post(path: string, body: unknown, query?: Record<string, string>): Request {
  return { method: 'POST', path, body, ...(query && { query }) }
}

export function collection(kind: Pick<Kind, 'root' | 'plural' | 'namespaced'>, namespace = 'one'): string {
  return kind.namespaced ? `${kind.root}/namespaces/${namespace}/${kind.plural}` : `${kind.root}/${kind.plural}`
}
