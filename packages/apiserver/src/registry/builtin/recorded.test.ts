/**
 * The built-in kinds against what kube-apiserver 1.34.4 answered, recorded by scripts/record-answers.ts: the whole object,
 * or every cause of the refusal. What admission adds there is taken out of the recording.
 */
import { readFileSync } from 'node:fs'
import type { KubeObject } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { applyMergePatch } from '../../patch/merge-patch.ts'
import { type FieldError, invalid, StatusError } from '../../status-error.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from '../object-meta.ts'
import { groupVersion } from '../registry.ts'
import type { Resource, StrategyContext } from '../resource.ts'
import { builtinResources } from './index.ts'

interface Recording {
  path: string
  object: Record<string, unknown>
  patch?: object
  expect: { code: number; object?: KubeObject; causes?: Cause[]; message?: string }
}

interface Cause {
  reason: string
  message: string
  field: string
}

const resources = new Map(
  builtinResources().map((resource) => [`${groupVersion(resource)}/${resource.plural}`, resource] as const),
)

function resourceAt(path: string): Resource {
  const [, root, ...rest] = path.split('/')
  const version = root === 'api' ? rest[0] : `${rest[0]}/${rest[1]}`
  return resources.get(`${version}/${rest.at(-1)}`) as Resource
}

function recordings(file: string): Recording[] {
  const text = readFileSync(new URL(`./recorded/${file}`, import.meta.url), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recording)
}

function contextWith(...stored: KubeObject[]): StrategyContext {
  return { user: { username: 'test', groups: [] }, now: Date.UTC(2026, 0, 1), list: () => stored, builtin: [] }
}

/** What the verbs do around a strategy. */
function decode(resource: Resource, given: Record<string, unknown>): KubeObject {
  const decoded = resource.decode?.(given)
  if (!decoded || decoded.error !== undefined) {
    const kind = resource.kind
    throw new StatusError('BadRequest', `${kind} in version "v1" cannot be handled as a ${kind}: ${decoded?.error}`)
  }
  const object = decoded.object as KubeObject
  if (resource.namespaced) object.metadata.namespace = 'default'
  resource.strategy.defaults?.(object)
  return object
}

function refuse(resource: Resource, object: KubeObject, errors: FieldError[]): void {
  if (errors.length) throw invalid(resource, object.metadata.name ?? '', errors)
}

function create(resource: Resource, given: Record<string, unknown>): KubeObject {
  const { strategy, namespaced } = resource
  const object = decode(resource, given)
  object.metadata.uid = 'uid'
  strategy.prepareForCreate?.(object, contextWith())
  const rules = { namespaced, name: strategy.nameRule }
  refuse(resource, object, [...validateObjectMeta(object.metadata, rules), ...(strategy.validate?.(object) ?? [])])
  strategy.complete?.(object)
  return object
}

function update(resource: Resource, current: KubeObject, given: Record<string, unknown>): KubeObject {
  const { strategy, namespaced } = resource
  const next = decode(resource, given)
  if (resource.status) next['status'] = current['status']
  strategy.prepareForUpdate?.(next, current, contextWith(current))
  refuse(resource, next, [
    ...validateObjectMeta(next.metadata, { namespaced, name: strategy.nameRule }),
    ...validateObjectMetaUpdate(next.metadata, current.metadata),
    ...(strategy.validateUpdate?.(next, current) ?? []),
  ])
  return next
}

/** In the form of a recording. Go finds the errors of a map in an order of its own, so causes are compared as a set. */
function outcome(run: () => KubeObject): Recording['expect'] {
  try {
    const object = structuredClone(run()) as KubeObject
    for (const field of ['resourceVersion', 'uid', 'generation'] as const) delete object.metadata[field]
    return { code: 0, object }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    if (!error.details?.causes) return { code: error.code, message: error.message }
    return { code: error.code, causes: sorted(error.details.causes as Cause[]) }
  }
}

/** Below the first line kube-apiserver prints a difference of its internal structs. */
function sorted(causes: readonly Cause[]): Cause[] {
  const lines = causes.map(({ reason, field, message }) => ({
    reason,
    field,
    // Of what may not change it prints its internal structs, this server what a client knows.
    message: (message.split('\n')[0] as string).replace(/^(Invalid value: )\{.*\}(: field is immutable)$/i, '$1{}$2'),
  }))
  const unique = new Map(lines.map((cause) => [JSON.stringify(cause), cause]))
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, cause]) => cause)
}

/** What was recorded, in the same form. */
function expectation({ code, object, causes, message }: Recording['expect']): Recording['expect'] {
  if (causes) return { code, causes: sorted(causes) }
  if (!object) return { code, ...(message !== undefined && { message }) }
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = object
  return { code: 0, object: rest as KubeObject }
}

function withoutTypes(result: Recording['expect']): Recording['expect'] {
  if (!result.object) return result
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = result.object
  const text = JSON.stringify(rest).replaceAll(
    /"lastTransitionTime":"[^"]*"|"lastPhaseTransitionTime":"[^"]*"/g,
    '"moment":""',
  )
  return { ...result, object: JSON.parse(text) as KubeObject }
}

describe('kube-apiserver and this server', () => {
  test.each(
    [
      ...recordings('creates.jsonl'),
      ...recordings('workload-creates.jsonl'),
      ...recordings('further-creates.jsonl'),
    ].map((recording) => [JSON.stringify(recording.object).slice(0, 200), recording]),
  )('agree about creating %s', (_title, recording) => {
    const resource = resourceAt((recording as Recording).path)
    const result = outcome(() => create(resource, (recording as Recording).object))
    expect(withoutTypes(result)).toEqual(withoutTypes(expectation((recording as Recording).expect)))
  })

  test.each(
    [
      ...recordings('updates.jsonl'),
      ...recordings('workload-updates.jsonl'),
      ...recordings('further-updates.jsonl'),
    ].map((recording) => [
      `${(recording.object as { kind?: string }).kind} ${JSON.stringify(recording.patch)}`,
      recording,
    ]),
  )('agree about patching %s', (_title, recording) => {
    const { path, object, patch, expect: expected } = recording as Recording
    const resource = resourceAt(path)
    const current = create(resource, object)
    Object.assign(current.metadata, { resourceVersion: '1', uid: 'uid' })
    const result = outcome(() =>
      update(resource, current, applyMergePatch(structuredClone(current), patch) as Record<string, unknown>),
    )
    expect(withoutTypes(result)).toEqual(withoutTypes(expectation(expected)))
  })
})
