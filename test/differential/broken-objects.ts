/** Ways to break a valid object of any kind. */

/** Each takes a valid object and makes something that a server should answer in its own words. */
export const BREAKS: ReadonlyArray<[name: string, change: (object: Record<string, unknown>) => unknown]> = [
  ['upper case name', (object) => ({ ...object, metadata: { ...meta(object), name: 'Upper_Case' } })],
  ['long name', (object) => ({ ...object, metadata: { ...meta(object), name: 'n'.repeat(260) } })],
  ['empty name', (object) => ({ ...object, metadata: { ...meta(object), name: '' } })],
  ['no metadata', (object) => without(object, 'metadata')],
  ['bad label value', (object) => ({ ...object, metadata: { ...meta(object), labels: { app: 'not valid!' } } })],
  ['bad label key', (object) => ({ ...object, metadata: { ...meta(object), labels: { 'a/b/c': 'x' } } })],
  ['bad annotation key', (object) => ({ ...object, metadata: { ...meta(object), annotations: { 'a b': 'x' } } })],
  ['label of the wrong type', (object) => ({ ...object, metadata: { ...meta(object), labels: { app: 1 } } })],
  ['unknown field', (object) => ({ ...object, bogus: true })],
  ['unknown metadata field', (object) => ({ ...object, metadata: { ...meta(object), bogus: 'x' } })],
  ['other kind', (object) => ({ ...object, kind: 'Other' })],
  ['other apiVersion', (object) => ({ ...object, apiVersion: 'v9' })],
  ['no kind', (object) => without(object, 'kind')],
  ['other namespace', (object) => ({ ...object, metadata: { ...meta(object), namespace: 'elsewhere' } })],
  ['resourceVersion on create', (object) => ({ ...object, metadata: { ...meta(object), resourceVersion: '12' } })],
  ['uid given', (object) => ({ ...object, metadata: { ...meta(object), uid: 'given' } })],
  ['bad finalizer', (object) => ({ ...object, metadata: { ...meta(object), finalizers: ['not qualified'] } })],
  [
    'bad owner',
    (object) => ({
      ...object,
      metadata: { ...meta(object), ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'x' }] },
    }),
  ],
  ['metadata of the wrong type', (object) => ({ ...object, metadata: 'text' })],
  ['a list instead of an object', (object) => [object]],
  ['null', () => null],
]

function meta(object: Record<string, unknown>): Record<string, unknown> {
  return (object['metadata'] ?? {}) as Record<string, unknown>
}

function without(object: Record<string, unknown>, field: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== field))
}
