/** One object of a kind: its whole life, and every way to write it wrongly. */
import { BREAKS } from './broken-objects.ts'
import type { Kind } from './kind.ts'
import { collection, PATCHES, post, TABLE, type Writer } from './requests.ts'
import type { Random } from './script.ts'

/** A valid object of the kind, as a user would write it. */
export function objectOf(kind: Kind, name: string, random: Random): Record<string, unknown> {
  const { metadata, ...fields } = kind.make(random)
  const object = {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: {
      ...(metadata as object),
      name,
      labels: { app: random.pick(['a', 'b']), ...(metadata as { labels?: object } | undefined)?.labels },
    },
    ...fields,
  }
  return JSON.parse(JSON.stringify(object).replaceAll('IN_NAMESPACE', 'one')) as Record<string, unknown>
}

/** Create, read in its forms, change by each kind of patch and by update, conflict, delete. */
export function objectLife(kind: Kind, name: string, { random, add }: Writer): void {
  const path = collection(kind)
  const object = objectOf(kind, name, random)
  const item = `${path}/${name}`
  const say = (what: string): string => `${kind.kind} ${name}: ${what}`
  add(say('dry create'), post(path, object, { dryRun: 'All' }))
  add(say('get what a dry run did not make'), { method: 'GET', path: item })
  const created = `${kind.kind} ${name}`
  add(say('create'), post(path, object, { fieldManager: 'tester' }))
  add(say('create again'), post(path, object))
  add(say('get'), { method: 'GET', path: item })
  add(say('table'), { method: 'GET', path: item, accept: TABLE })
  add(say('metadata'), {
    method: 'GET',
    path: item,
    accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  })
  for (const [index, change] of kind.changes.entries()) {
    const type = index % 2 === 0 ? PATCHES.merge : PATCHES.strategic
    add(say(`change ${index}, dry`), {
      method: 'PATCH',
      path: item,
      body: change,
      contentType: type,
      query: { dryRun: 'All' },
    })
    add(say(`change ${index}`), {
      method: 'PATCH',
      path: item,
      body: change,
      contentType: type,
      query: { fieldManager: random.pick(['tester', 'other']) },
    })
  }
  add(say('json patch'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'add', path: '/metadata/annotations', value: { note: 'x' } }],
  })
  add(say('json patch that fails its test'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'test', path: '/metadata/name', value: 'no' }],
  })
  add(say('json patch of a missing path'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.json,
    body: [{ op: 'remove', path: '/nothing/here' }],
  })
  add(say('json patch that is none'), { method: 'PATCH', path: item, contentType: PATCHES.json, body: { op: 'add' } })
  add(say('a patch that changes nothing'), { method: 'PATCH', path: item, contentType: PATCHES.merge, body: {} })
  add(say('a patch of the name'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.merge,
    body: { metadata: { name: 'renamed' } },
  })
  add(say('a patch of an unknown type'), {
    method: 'PATCH',
    path: item,
    contentType: 'application/x-nothing',
    body: {},
  })
  add(say('update'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), annotations: { updated: 'yes' } } },
  })
  add(say('update with an old version'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), resourceVersion: '1' } },
  })
  add(say('update with a version that is no number'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), resourceVersion: 'abc' } },
  })
  add(say('update under another name'), { method: 'PUT', path: `${item}-other`, body: object })
  add(say('update with another uid'), {
    method: 'PUT',
    path: item,
    body: { ...object, metadata: { ...(object['metadata'] as object), uid: 'different' } },
  })
  add(say('apply'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.apply,
    body: { ...object, metadata: { name, labels: { applied: 'yes' } } },
    query: { fieldManager: 'applier', force: 'true' },
  })
  add(say('apply without a manager'), {
    method: 'PATCH',
    path: item,
    contentType: PATCHES.apply,
    body: { apiVersion: kind.apiVersion, kind: kind.kind },
  })
  add(say('delete with a wrong precondition'), {
    method: 'DELETE',
    path: item,
    body: { preconditions: { uid: 'wrong' } },
  })
  add(say('dry delete'), { method: 'DELETE', path: item, query: { dryRun: 'All' } })
  add(say('delete'), {
    method: 'DELETE',
    path: item,
    ...(kind.kind === 'Pod' && { query: { gracePeriodSeconds: '0' } }),
  })
  add(say('delete again'), { method: 'DELETE', path: item })
  add(`${created} after`, { method: 'GET', path: item })
}

/** The object with a mistake in it, one at a time. */
export function mistakes(kind: Kind, { random, add }: Writer): void {
  const path = collection(kind)
  for (const [index, [name, change]] of BREAKS.entries()) {
    const object = change(objectOf(kind, `m${index}`, random))
    for (const fieldValidation of ['Strict', 'Warn', 'Ignore']) {
      if (fieldValidation !== 'Strict' && !/unknown/.test(name)) continue
      add(`${kind.kind}: ${name}, ${fieldValidation}`, post(path, object, { fieldValidation, dryRun: 'All' }))
    }
  }
  // Each field of the valid object in a wrong type.
  const valid = objectOf(kind, 'typed', random)
  for (const key of Object.keys(valid)) {
    if (key === 'apiVersion' || key === 'kind' || key === 'metadata') continue
    add(`${kind.kind}: ${key} is a number`, post(path, { ...valid, [key]: 7 }, { dryRun: 'All' }))
    add(
      `${kind.kind}: ${key} is missing`,
      post(path, Object.fromEntries(Object.entries(valid).filter(([name]) => name !== key)), { dryRun: 'All' }),
    )
    const below = valid[key]
    if (typeof below !== 'object' || below === null || Array.isArray(below)) continue
    for (const [inner, value] of Object.entries(below)) {
      const wrong = typeof value === 'string' ? { a: 1 } : 'text'
      add(
        `${kind.kind}: ${key}.${inner} of the wrong type`,
        post(path, { ...valid, [key]: { ...below, [inner]: wrong } }, { dryRun: 'All' }),
      )
      add(
        `${kind.kind}: ${key}.${inner} is missing`,
        post(
          path,
          { ...valid, [key]: Object.fromEntries(Object.entries(below).filter(([name]) => name !== inner)) },
          { dryRun: 'All' },
        ),
      )
      add(
        `${kind.kind}: ${key}.${inner} is null`,
        post(path, { ...valid, [key]: { ...below, [inner]: null } }, { dryRun: 'All' }),
      )
    }
    add(
      `${kind.kind}: ${key} has an unknown field`,
      post(path, { ...valid, [key]: { ...below, bogus: 1 } }, { dryRun: 'All', fieldValidation: 'Strict' }),
    )
  }
}
