/** One schema with every kind of field that rules can see, and an object before and after a change. */
import type { Schema } from '../schema.ts'

export const SCHEMA: Schema = {
  type: 'object',
  properties: {
    i: { type: 'integer' },
    j: { type: 'integer' },
    n: { type: 'number' },
    b: { type: 'boolean' },
    s: { type: 'string', maxLength: 50 },
    t: { type: 'string' },
    e: { type: 'string', enum: ['aa', 'bbb'] },
    ios: { 'x-kubernetes-int-or-string': true },
    ios2: { 'x-kubernetes-int-or-string': true },
    date: { type: 'string', format: 'date' },
    ts: { type: 'string', format: 'date-time' },
    d: { type: 'string', format: 'duration' },
    by: { type: 'string', format: 'byte' },
    li: { type: 'array', items: { type: 'integer' }, maxItems: 20 },
    ls: { type: 'array', items: { type: 'string', maxLength: 10 }, maxItems: 20 },
    big: { type: 'array', items: { type: 'integer' } },
    set: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set', maxItems: 5 },
    lm: {
      type: 'array',
      maxItems: 10,
      items: {
        type: 'object',
        properties: { k: { type: 'string' }, v: { type: 'integer' }, o: { type: 'string' } },
        required: ['k'],
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
    },
    m: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 10 },
    mi: { type: 'object', additionalProperties: { type: 'integer' } },
    o: {
      type: 'object',
      properties: {
        x: { type: 'integer' },
        'a-b': { type: 'string' },
        namespace: { type: 'string' },
        'a.b/c': { type: 'integer' },
        nul: { type: 'string', nullable: true },
        x__y: { type: 'integer' },
      },
    },
    any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    emb: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
  },
}

export const OBJECT: Record<string, unknown> = {
  i: 5,
  j: -3,
  n: 2.5,
  b: true,
  s: 'hello-world',
  t: 'héllo😀',
  e: 'aa',
  ios: 80,
  ios2: '50%',
  date: '2024-02-29',
  ts: '2024-02-29T10:20:30.123Z',
  d: '1h30m',
  by: 'aGVsbG8=',
  li: [3, 1, 2],
  ls: ['b', 'a', 'c'],
  big: [1, 2, 3, 4],
  set: ['x', 'y'],
  lm: [
    { k: 'a', v: 1 },
    { k: 'b', v: 2, o: 'q' },
  ],
  m: { p: 'one', 'q.r': 'two' },
  mi: { z: 26 },
  o: { x: 7, 'a-b': 'dash', namespace: 'ns', 'a.b/c': 9, nul: null, x__y: 1 },
  any: { foo: { bar: 1 } },
  emb: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'nm' } },
}

export const OLD_OBJECT: Record<string, unknown> = {
  ...OBJECT,
  i: 4,
  set: ['y', 'x'],
  lm: [
    { k: 'b', v: 2, o: 'q' },
    { k: 'a', v: 1 },
  ],
}
