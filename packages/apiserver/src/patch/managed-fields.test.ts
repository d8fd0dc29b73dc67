import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Schema } from '../schema/schema.ts'
import type { StatusError } from '../status-error.ts'
import { type ApplyRequest, applyServerSide, managedFieldsAfter, type WriteContext } from './managed-fields.ts'

const now = Date.UTC(2026, 0, 1)
const context = (manager: string, extra: Partial<WriteContext> = {}): WriteContext => ({
  manager,
  apiVersion: 'v1',
  subresource: '',
  schema: { $ref: 'io.k8s.api.core.v1.ConfigMap' },
  builtin: true,
  statusSubresource: false,
  now,
  ...extra,
})
const configMap = (data: Record<string, string>, metadata: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c', namespace: 'n', ...metadata },
  data,
})
const apply = (
  live: KubeObject | undefined,
  data: Record<string, string>,
  manager: string,
  extra: Partial<ApplyRequest> = {},
): KubeObject => applyServerSide(live, configMap(data), { ...context(manager), force: false, ...extra })
const owners = (object: KubeObject): string[] =>
  (object.metadata.managedFields ?? []).map(
    (entry) => `${entry.manager} ${entry.operation} ${JSON.stringify(entry.fieldsV1)}`,
  )

describe('managedFieldsAfter', () => {
  test('elements with the same key are owned as one', () => {
    const pod = (values: string[]): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'x', env: values.map((value) => ({ name: 'A', value })) }] },
    })
    const envOf = (before: string[] | undefined, after: string[]): unknown => {
      const next = pod(after)
      const made = before && { ...pod(before), metadata: { name: 'p', managedFields: [] } }
      if (made) made.metadata = { name: 'p', managedFields: track(undefined, pod(before)) as never }
      const [entry] = track(made, next) ?? []
      if (!entry) throw new Error('nobody owns anything')
      const [container] = Object.values((entry.fieldsV1 as never)['f:spec']['f:containers'])
      return (container as Record<string, unknown>)['f:env']
    }
    const track = (before: KubeObject | undefined, after: KubeObject) =>
      managedFieldsAfter(before, after, context('kubectl', { schema: { $ref: 'io.k8s.api.core.v1.Pod' } }))
    const whole = { '.': {}, 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } }
    const asOne = { '.': {}, 'k:{"name":"A"}': {} }
    expect(envOf(undefined, ['1', '2'])).toEqual(asOne)
    expect(envOf(['1'], ['1', '2'])).toEqual(asOne)
    expect(envOf(['1', '2'], ['1', '3'])).toEqual(asOne)
    expect(envOf(undefined, ['1'])).toEqual(whole)
    // As many as a body can hold: where each one cost as much as those before it, this took five minutes.
    expect(envOf(undefined, Array.from({ length: 150_000 }, String))).toEqual(asOne)
  })

  test('a creator owns what it set, containers included, and nothing of the server', () => {
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', labels: { a: 'b' }, uid: 'u' },
      spec: {
        containers: [{ name: 'x', image: 'i', resources: {}, ports: [{ containerPort: 80, protocol: 'TCP' }] }],
        restartPolicy: 'Always',
      },
      status: { phase: 'Pending' },
    }
    expect(
      managedFieldsAfter(
        undefined,
        pod,
        context('kubectl', { schema: { $ref: 'io.k8s.api.core.v1.Pod' }, statusSubresource: true }),
      ),
    ).toEqual([
      {
        manager: 'kubectl',
        operation: 'Update',
        apiVersion: 'v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
          'f:spec': {
            'f:containers': {
              'k:{"name":"x"}': {
                '.': {},
                'f:image': {},
                'f:name': {},
                'f:ports': {
                  '.': {},
                  'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} },
                },
                'f:resources': {},
              },
            },
            'f:restartPolicy': {},
          },
        },
      },
    ])
  })

  test('what one changes, the other loses; what one removes, nobody owns', () => {
    const created = configMap({ a: '1', b: '1' })
    created.metadata.managedFields = managedFieldsAfter(undefined, created, context('one')) ?? []
    const changed = configMap({ a: '2' }, { managedFields: created.metadata.managedFields })
    changed.metadata.managedFields = managedFieldsAfter(created, changed, context('two')) ?? []
    expect(owners(changed)).toEqual(['one Update {"f:data":{}}', 'two Update {"f:data":{"f:a":{}}}'])
  })

  test('an update that changes nothing leaves the list as it is', () => {
    const created = configMap({ a: '1' })
    created.metadata.managedFields = managedFieldsAfter(undefined, created, context('one')) ?? []
    expect(managedFieldsAfter(created, created, context('two', { now: now + 60_000 }))).toEqual(
      created.metadata.managedFields,
    )
  })

  test('an object whose ownership was reset stays without owners', () => {
    expect(managedFieldsAfter(configMap({}), configMap({ a: '1' }), context('one'))).toBe(undefined)
  })

  test('nobody owns the zero values that Go writes by itself', () => {
    const event: KubeObject = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e', namespace: 'n', creationTimestamp: null as unknown as string },
      involvedObject: { kind: 'Pod' },
      source: {},
      firstTimestamp: null,
      lastTimestamp: null,
      eventTime: null,
      reportingComponent: '',
      reportingInstance: '',
    }
    const [owner] =
      managedFieldsAfter(undefined, event, context('x', { schema: { $ref: 'io.k8s.api.core.v1.Event' } })) ?? []
    expect(owner?.fieldsV1).toEqual({ 'f:involvedObject': {} })
  })

  test('a custom resource may state a null, which is a value like any other', () => {
    const custom: KubeObject = { apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' }, spec: { n: null } }
    const schema: Schema = {
      type: 'object',
      properties: { spec: { type: 'object', properties: { n: { type: 'string', nullable: true } } } },
    }
    const [owner] = managedFieldsAfter(undefined, custom, context('x', { builtin: false, schema })) ?? []
    expect(owner?.fieldsV1).toEqual({ 'f:spec': { '.': {}, 'f:n': {} } })
  })

  test('what the status door puts back is nobody’s loss', () => {
    const schema: Schema = {
      type: 'object',
      properties: {
        spec: { type: 'object', properties: { n: { type: 'integer' } } },
        status: { type: 'object', properties: { n: { type: 'integer' } } },
      },
    }
    const extra = { builtin: false, schema, statusSubresource: true }
    const made: KubeObject = { apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' }, spec: { n: 1 } }
    const managedFields = managedFieldsAfter(undefined, made, context('maker', extra)) ?? []
    const live = { ...made, metadata: { ...made.metadata, managedFields } }
    const next = { ...live, spec: { n: 2 }, status: { n: 2 } }
    const after = managedFieldsAfter(live, next, context('reporter', { ...extra, subresource: 'status' })) ?? []
    expect(after.map(({ manager, fieldsV1 }) => `${manager} ${JSON.stringify(fieldsV1)}`)).toEqual([
      'maker {"f:spec":{".":{},"f:n":{}}}',
      'reporter {"f:status":{".":{},"f:n":{}}}',
    ])
  })

  test('beyond ten updaters the oldest are folded together', () => {
    let object = configMap({}, { labels: { a: 'b' } })
    object.metadata.managedFields = managedFieldsAfter(undefined, object, context('maker', { now: now - 1000 })) ?? []
    for (let index = 0; index < 12; index++) {
      const next = configMap(
        { ...(object['data'] as Record<string, string>), [`k${index}`]: 'x' },
        { managedFields: object.metadata.managedFields },
      )
      const fields = managedFieldsAfter(
        object,
        next,
        context(`m${String(index).padStart(2, '0')}`, { now: now + index * 1000 }),
      )
      object = { ...next, metadata: { ...next.metadata, ...(fields && { managedFields: fields }) } }
    }
    const updates = (object.metadata.managedFields ?? []).map((entry) => entry.manager)
    expect(updates).toEqual(['ancient-changes', 'm03', 'm04', 'm05', 'm06', 'm07', 'm08', 'm09', 'm10', 'm11'])
  })

  test('who is alone with a version keeps the name, and others are folded until ten are left', () => {
    const versions = ['v1', 'v2', 'v1', 'v3', ...Array.from({ length: 8 }, () => 'v4')]
    const managedFields = versions.map((apiVersion, index) => ({
      manager: `m${index}`,
      operation: 'Update' as const,
      apiVersion,
      time: `2026-01-01T00:00:${String(index).padStart(2, '0')}Z`,
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': { [`f:k${index}`]: {} } },
    }))
    const data = Object.fromEntries(versions.map((_, index) => [`k${index}`, 'x']))
    const fields = managedFieldsAfter(configMap(data), configMap(data, { managedFields }), context('unseen'))
    expect(fields?.map(({ manager, apiVersion, fieldsV1 }) => [manager, apiVersion, fieldsV1])).toEqual([
      ['m1', 'v2', { 'f:data': { 'f:k1': {} } }],
      ['ancient-changes', 'v1', { 'f:data': { 'f:k0': {}, 'f:k2': {} } }],
      ['m3', 'v3', { 'f:data': { 'f:k3': {} } }],
      ['ancient-changes', 'v4', { 'f:data': { 'f:k4': {}, 'f:k5': {} } }],
      ...[6, 7, 8, 9, 10, 11].map((index) => [`m${index}`, 'v4', { 'f:data': { [`f:k${index}`]: {} } }]),
    ])
  })
})

describe('applyServerSide', () => {
  test('an object gets no more fields than a body may have, before its owners are looked at', () => {
    const many = (prefix: string): Record<string, string> =>
      Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`${prefix}${index}`, 'x']))
    const live = apply(undefined, many('a'), 'red')
    expect(() => apply(live, many('b'), 'blue')).toThrow(
      'Request entity too large: expected at most 50000 fields and list items in one body, found more',
    )
    // The same ones again, and others in their place, are no more than there were.
    expect(Object.keys(apply(live, many('a'), 'blue')['data'] as object)).toHaveLength(30_000)
    expect(Object.keys(apply(live, many('b'), 'red')['data'] as object)).toEqual(Object.keys(many('b')))
  })

  test('a second applier of another value is refused in kubectl’s words, and takes it by force', () => {
    const live = apply(undefined, { a: '1' }, 'red')
    expect(() => apply(live, { a: '2' }, 'green')).toThrow('Apply failed with 1 conflict: conflict with "red": .data.a')
    const forced = apply(live, { a: '2' }, 'green', { force: true })
    expect(forced['data']).toEqual({ a: '2' })
    expect(owners(forced)).toEqual(['green Apply {"f:data":{"f:a":{}}}'])
  })

  test('the same value is owned together, and stays until both let go', () => {
    const both = apply(apply(undefined, { a: '1', b: '1' }, 'red'), { a: '1' }, 'green')
    expect(owners(both)).toEqual(['green Apply {"f:data":{"f:a":{}}}', 'red Apply {"f:data":{"f:a":{},"f:b":{}}}'])
    const one = apply(both, {}, 'red')
    expect(one['data']).toEqual({ a: '1' })
    expect(apply(one, {}, 'green')['data']).toEqual({})
  })

  test('a conflict with an updater names its version', () => {
    const live = configMap({ a: '1', b: '1' })
    live.metadata.managedFields = managedFieldsAfter(undefined, live, context('editor')) ?? []
    expect(() => apply(live, { a: '2', b: '2' }, 'red')).toThrow(
      'Apply failed with 2 conflicts: conflicts with "editor" using v1:\n- .data.a\n- .data.b',
    )
  })

  test('of an updater’s version no more is said than of a path', () => {
    const live = configMap({ a: '1', b: '1' })
    const owned = managedFieldsAfter(undefined, live, context('editor')) ?? []
    live.metadata.managedFields = owned.map((entry) => ({ ...entry, apiVersion: 'v'.repeat(10_000) }))
    const refusal = captured(() => apply(live, { a: '2', b: '2' }, 'red')) as StatusError
    expect(JSON.stringify(refusal.toStatus()).length).toBeLessThan(5_000)
  })

  test('of many conflicts some are said, and of long paths their beginnings', () => {
    const schema: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
    const applied = (value: string, manager: string, live?: KubeObject): KubeObject => {
      const fields = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`k${index}`, value]))
      const object = { apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' }, spec: { ['long'.repeat(5000)]: fields } }
      return applyServerSide(live, object, { ...context(manager, { schema, builtin: false }), force: false })
    }
    const live = applied('1', 'red')
    const refusal = captured(() => applied('2', 'green', live)) as StatusError
    const start = 'Apply failed with 2000 conflicts: conflicts with "red":\n- .spec.longlong'
    expect(refusal.message.slice(0, start.length)).toBe(start)
    expect(refusal.message.endsWith('\nand 1000 more')).toBe(true)
    expect(refusal.details?.causes).toHaveLength(1000)
    expect(JSON.stringify(refusal.toStatus()).length).toBeLessThan(3e6)
  })

  test('an object from before ownership was tracked belongs to before-first-apply', () => {
    expect(owners(apply(configMap({ a: '1' }), { b: '1' }, 'red'))).toEqual([
      'red Apply {"f:data":{"f:b":{}}}',
      'before-first-apply Update {"f:data":{".":{},"f:a":{}}}',
    ])
  })

  test('what does not fit the schema is refused in structured-merge-diff’s words', () => {
    const wrong = { ...configMap({}), data: 'text', bogus: 1, immutable: 'no' } as KubeObject
    expect(() => applyServerSide(undefined, wrong, { ...context('red'), force: false })).toThrow(
      'failed to create typed patch object (n/c; /v1, Kind=ConfigMap): errors:\n' +
        '  .data: expected map, got &{text}\n' +
        '  .bogus: field not declared in schema',
    )
  })

  test('ports of a second applier come after those that are there already', () => {
    const service = (...ports: number[]): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', namespace: 'n' },
      spec: { ports: ports.map((port) => ({ port, protocol: 'TCP' })) },
    })
    const schema: Schema = { $ref: 'io.k8s.api.core.v1.Service' }
    const as = (live: KubeObject | undefined, manager: string, ...ports: number[]): KubeObject =>
      applyServerSide(live, service(...ports), { ...context(manager, { schema }), force: false })
    const portsOf = (object: KubeObject) =>
      (object['spec'] as { ports: Array<{ port: number }> }).ports.map((p) => p.port)
    const both = as(as(undefined, 'red', 80), 'green', 81)
    expect(portsOf(both)).toEqual([80, 81])
    expect(portsOf(as(both, 'red', 82))).toEqual([81, 82])
    expect(portsOf(as(both, 'blue', 81, 80))).toEqual([81, 80])
  })

  test('a null stated where an object is changes nothing of it', () => {
    const schema: Schema = {
      type: 'object',
      properties: { spec: { type: 'object', properties: { a: { type: 'string' } } } },
    }
    const live: KubeObject = { apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' }, spec: { a: '1' } }
    const stated = { ...live, spec: null } as KubeObject
    const request = { ...context('red', { builtin: false, schema }), force: false }
    expect(applyServerSide(live, stated, request)['spec']).toEqual({ a: '1' })
  })

  test('applying the same twice changes nothing, whatever others did before', () => {
    const data = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.constantFrom('1', '2'))
    const manager = fc.constantFrom('red', 'green', 'blue')
    fc.assert(
      fc.property(fc.array(fc.tuple(manager, data), { minLength: 1, maxLength: 8 }), (history) => {
        let live: KubeObject | undefined
        for (const [who, what] of history) live = apply(live, what, who, { force: true })
        const [who, what] = history[history.length - 1] ?? ['red', {}]
        expect(apply(live, what, who, { force: true, now: now + 60_000 })).toEqual(live)
        // Whatever the last applier stated is there.
        expect(live?.['data']).toMatchObject(what)
      }),
    )
  })
})

function captured(act: () => unknown): unknown {
  try {
    return act()
  } catch (error) {
    return error
  }
}
