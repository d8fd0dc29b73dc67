/** What the parts of the script are written with. */
import type { Kind } from './kind.ts'
import type { Random, Request, Step } from './script.ts'

export const PATCHES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

export type Add = (label: string, request: Step['request']) => void

export interface Writer {
  random: Random
  add: Add
}

export const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** `Accept` for what a terminal shows. */
export const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'

export function get(path: string, query?: Record<string, string>): Request {
  return { method: 'GET', path, ...(query && { query }) }
}

export function post(path: string, body: unknown, query?: Record<string, string>): Request {
  return { method: 'POST', path, body, ...(query && { query }) }
}

export function collection(kind: Pick<Kind, 'root' | 'plural' | 'namespaced'>, namespace = 'one'): string {
  return kind.namespaced ? `${kind.root}/namespaces/${namespace}/${kind.plural}` : `${kind.root}/${kind.plural}`
}

export function merge(path: string, body: unknown): Request {
  return { method: 'PATCH', path, body, contentType: PATCHES.merge }
}

export function apply(path: string, body: unknown, fieldManager: string, force = false): Request {
  const query = { fieldManager, ...(force && { force: 'true' }) }
  return { method: 'PATCH', path, body, contentType: PATCHES.apply, query }
}
