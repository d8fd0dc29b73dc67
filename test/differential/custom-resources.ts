/** CustomResourceDefinitions of many shapes, and objects that they take or refuse. */
import { TABLE } from './requests.ts'
import type { Random, Request, Step } from './script.ts'

const ROOT = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
type Schema = Record<string, unknown>

interface Sample {
  name: string
  schema: Schema
  /** Beyond the schema, of the one version. */
  version?: Record<string, unknown>
  objects: ReadonlyArray<Record<string, unknown>>
  changes?: ReadonlyArray<Record<string, unknown>>
}

const object = (properties: Schema, extra: Schema = {}): Schema => ({ type: 'object', properties, ...extra })
const spec = (properties: Schema, extra: Schema = {}): Schema => object({ spec: object(properties, extra) })

const SAMPLES: readonly Sample[] = [
  {
    name: 'types',
    schema: spec({
      s: { type: 'string', minLength: 2, maxLength: 4, pattern: '^[a-z]+$' },
      i: { type: 'integer', minimum: 1, maximum: 10, exclusiveMaximum: true },
      n: { type: 'number', multipleOf: 0.5 },
      b: { type: 'boolean' },
      e: { type: 'string', enum: ['one', 'two'] },
      a: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2 },
      m: { type: 'object', additionalProperties: { type: 'integer' }, maxProperties: 2 },
      x: { 'x-kubernetes-int-or-string': true },
      t: { type: 'string', format: 'date-time' },
      null: { type: 'string', nullable: true },
      l: { type: 'integer', format: 'int32' },
    }),
    objects: [
      {},
      { spec: {} },
      { spec: null },
      { spec: 'text' },
      { spec: { s: 'ab' } },
      { spec: { s: 'a' } },
      { spec: { s: 'abcde' } },
      { spec: { s: 'AB' } },
      { spec: { s: 7 } },
      { spec: { i: 1 } },
      { spec: { i: 0 } },
      { spec: { i: 10 } },
      { spec: { i: 1.5 } },
      { spec: { i: '1' } },
      { spec: { n: 1.5 } },
      { spec: { n: 1.3 } },
      { spec: { b: 'true' } },
      { spec: { e: 'one' } },
      { spec: { e: 'three' } },
      { spec: { a: [] } },
      { spec: { a: ['x'] } },
      { spec: { a: ['x', 'y', 'z'] } },
      { spec: { a: [1] } },
      { spec: { a: 'x' } },
      { spec: { a: [null] } },
      { spec: { m: { a: 1 } } },
      { spec: { m: { a: 'x' } } },
      { spec: { m: { a: 1, b: 2, c: 3 } } },
      { spec: { x: 1 } },
      { spec: { x: '50%' } },
      { spec: { x: true } },
      { spec: { x: 1.5 } },
      { spec: { t: '2026-01-01T00:00:00Z' } },
      { spec: { t: 'yesterday' } },
      { spec: { null: null } },
      { spec: { s: null } },
      { spec: { unknown: 1 } },
      { unknown: 1 },
      { spec: { s: 'A', i: 0, e: 'x' } },
      { spec: { l: 3000000000 } },
      { spec: { i: -0 } },
    ],
    changes: [{ spec: { s: 'cd' } }, { spec: { s: null } }, { spec: { i: 99 } }, { spec: { unknown: { a: 1 } } }],
  },
  {
    name: 'required',
    schema: spec(
      {
        a: { type: 'string' },
        nested: object({ b: { type: 'string' }, c: { type: 'string', default: 'see' } }, { required: ['b'] }),
        items: {
          type: 'array',
          items: object({ k: { type: 'string' }, v: { type: 'integer', default: 5 } }, { required: ['k'] }),
        },
      },
      { required: ['a'] },
    ),
    objects: [
      {},
      { spec: {} },
      { spec: { a: 'x' } },
      { spec: { a: 'x', nested: {} } },
      { spec: { a: 'x', nested: { b: 'y' } } },
      { spec: { a: 'x', items: [{}] } },
      { spec: { a: 'x', items: [{ k: '1' }, { k: '2', v: 7 }] } },
      { spec: { a: 'x', nested: null } },
      { spec: { a: '' } },
    ],
  },
  {
    name: 'defaults',
    schema: object({
      spec: object(
        {
          mode: { type: 'string', default: 'Running' },
          deep: object(
            { n: { type: 'integer', default: 3 }, list: { type: 'array', items: { type: 'string' }, default: ['a'] } },
            { default: {} },
          ),
          nullable: { type: 'string', nullable: true, default: 'd' },
        },
        { default: {} },
      ),
    }),
    objects: [
      {},
      { spec: {} },
      { spec: { mode: null } },
      { spec: { nullable: null } },
      { spec: { deep: { n: 4 } } },
      { spec: { deep: null } },
      { spec: { mode: 'x', extra: 1 } },
    ],
    changes: [{ spec: { mode: null } }, { spec: null }, { spec: { deep: { list: null } } }],
  },
  {
    name: 'preserving',
    schema: object({
      spec: {
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        properties: { known: object({ a: { type: 'string' } }) },
      },
      pod: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
    }),
    objects: [
      { spec: { anything: { goes: [1, 'a', null] } } },
      { spec: { known: { a: 'x', dropped: 1 } } },
      { spec: { known: { a: 1 } } },
      { pod: { kind: 'Pod' } },
      { pod: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', bogus: 1 }, spec: { a: 1 } } },
      { pod: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'BAD' } } },
    ],
  },
  {
    name: 'lists',
    schema: spec({
      set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
      map: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: object({ k: { type: 'string' }, v: { type: 'string' } }, { required: ['k'] }),
      },
      atomic: { type: 'array', 'x-kubernetes-list-type': 'atomic', items: { type: 'string' } },
      whole: {
        type: 'object',
        'x-kubernetes-map-type': 'atomic',
        properties: { a: { type: 'string' }, b: { type: 'string' } },
      },
    }),
    objects: [
      { spec: { set: ['a', 'b'] } },
      { spec: { set: ['a', 'a'] } },
      { spec: { map: [{ k: '1' }, { k: '1' }] } },
      { spec: { map: [{ k: '1', v: 'x' }, { k: '2' }] } },
      { spec: { map: [{ v: 'x' }] } },
      { spec: { whole: { a: '1' } } },
    ],
    changes: [{ spec: { set: ['c'] } }, { spec: { map: [{ k: '9' }] } }],
  },
  {
    name: 'rules',
    schema: spec(
      {
        min: { type: 'integer' },
        max: { type: 'integer' },
        name: { type: 'string', maxLength: 20 },
        fixed: {
          type: 'string',
          maxLength: 20,
          'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed is immutable' }],
        },
        tags: { type: 'array', maxItems: 10, items: { type: 'string', maxLength: 10 } },
        when: { type: 'string', format: 'date-time' },
        q: { 'x-kubernetes-int-or-string': true },
        labels: { type: 'object', maxProperties: 10, additionalProperties: { type: 'string', maxLength: 10 } },
      },
      {
        'x-kubernetes-validations': [
          {
            rule: '!has(self.min) || !has(self.max) || self.min <= self.max',
            message: 'min must not be above max',
            fieldPath: '.min',
          },
          {
            rule: "!has(self.name) || self.name.startsWith('a')",
            messageExpression: "'name must start with a, not ' + self.name",
          },
          {
            rule: "!has(self.tags) || self.tags.all(t, t.matches('^[a-z]+$'))",
            message: 'tags are lower case',
            reason: 'FieldValueForbidden',
          },
          { rule: "!has(self.tags) || self.tags.exists_one(t, t == 'main') || size(self.tags) < 3" },
          { rule: "!has(self.labels) || !('bad' in self.labels)", message: 'no bad label' },
          { rule: "!has(self.when) || self.when > timestamp('2020-01-01T00:00:00Z')", message: 'too old' },
        ],
      },
    ),
    objects: [
      { spec: {} },
      { spec: { min: 1, max: 2 } },
      { spec: { min: 3, max: 2 } },
      { spec: { name: 'abc' } },
      { spec: { name: 'xyz' } },
      { spec: { tags: ['ok'] } },
      { spec: { tags: ['NO'] } },
      { spec: { tags: ['a', 'b', 'c'] } },
      { spec: { tags: ['main', 'b', 'c'] } },
      { spec: { labels: { good: 'x' } } },
      { spec: { labels: { bad: 'x' } } },
      { spec: { when: '2019-01-01T00:00:00Z' } },
      { spec: { when: '2026-01-01T00:00:00Z' } },
      { spec: { min: 3, max: 2, name: 'x', labels: { bad: '' } } },
      { spec: { fixed: 'x' } },
      { spec: { q: 1 } },
    ],
    changes: [
      { spec: { fixed: 'first' } },
      { spec: { fixed: 'second' } },
      { spec: { min: 9, max: 1 } },
      { metadata: { labels: { a: 'b' } } },
    ],
  },
  {
    name: 'columns',
    schema: object({
      spec: object({
        replicas: { type: 'integer' },
        when: { type: 'string', format: 'date-time' },
        mode: { type: 'string' },
      }),
      status: object({
        replicas: { type: 'integer' },
        selector: { type: 'string' },
        conditions: { type: 'array', items: object({ type: { type: 'string' }, status: { type: 'string' } }) },
      }),
    }),
    version: {
      subresources: {
        status: {},
        scale: {
          specReplicasPath: '.spec.replicas',
          statusReplicasPath: '.status.replicas',
          labelSelectorPath: '.status.selector',
        },
      },
      additionalPrinterColumns: [
        { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
        {
          name: 'Ready',
          type: 'string',
          jsonPath: '.status.conditions[?(@.type=="Ready")].status',
          description: 'whether it is ready',
        },
        { name: 'Wide', type: 'string', jsonPath: '.spec.mode', priority: 1 },
        { name: 'When', type: 'date', jsonPath: '.spec.when' },
      ],
      selectableFields: [{ jsonPath: '.spec.mode' }],
    },
    objects: [{ spec: { replicas: 2, mode: 'a' }, status: { replicas: 9 } }, { spec: { mode: 'b' } }],
    changes: [{ spec: { replicas: 3 } }, { status: { replicas: 1 } }, { metadata: { labels: { x: 'y' } } }],
  },
]

/** CRDs that are refused, or warned about. */
const BAD_DEFINITIONS: ReadonlyArray<[name: string, change: (crd: Record<string, unknown>) => unknown]> = [
  ['wrong name', (crd) => ({ ...crd, metadata: { name: 'other.example.com' } })],
  ['no schema', (crd) => withVersion(crd, { schema: undefined })],
  ['no type at the root', (crd) => withVersion(crd, { schema: { openAPIV3Schema: { properties: {} } } })],
  ['no storage version', (crd) => withVersion(crd, { storage: false })],
  [
    'a field without a type',
    (crd) => withVersion(crd, { schema: { openAPIV3Schema: object({ spec: object({ a: {} }) }) } }),
  ],
  [
    'a default that does not fit',
    (crd) =>
      withVersion(crd, {
        schema: { openAPIV3Schema: object({ spec: object({ a: { type: 'integer', default: 'x' } }) }) },
      }),
  ],
  [
    'a pattern that does not compile',
    (crd) =>
      withVersion(crd, {
        schema: { openAPIV3Schema: object({ spec: object({ a: { type: 'string', pattern: '(' } }) }) },
      }),
  ],
  [
    'a rule that does not compile',
    (crd) =>
      withVersion(crd, {
        schema: {
          openAPIV3Schema: object({
            spec: object({ a: { type: 'string' } }, { 'x-kubernetes-validations': [{ rule: 'self.a ==' }] }),
          }),
        },
      }),
  ],
  [
    'a rule of the wrong type',
    (crd) =>
      withVersion(crd, {
        schema: {
          openAPIV3Schema: object({
            spec: object({ a: { type: 'string' } }, { 'x-kubernetes-validations': [{ rule: '1 + 1' }] }),
          }),
        },
      }),
  ],
  [
    'a rule on an unknown field',
    (crd) =>
      withVersion(crd, {
        schema: {
          openAPIV3Schema: object({
            spec: object({ a: { type: 'string' } }, { 'x-kubernetes-validations': [{ rule: 'self.b == 1' }] }),
          }),
        },
      }),
  ],
  [
    'additionalProperties beside properties',
    (crd) =>
      withVersion(crd, {
        schema: {
          openAPIV3Schema: object({
            spec: object({ a: { type: 'string' } }, { additionalProperties: { type: 'string' } }),
          }),
        },
      }),
  ],
  [
    'uniqueItems',
    (crd) =>
      withVersion(crd, {
        schema: { openAPIV3Schema: object({ a: { type: 'array', uniqueItems: true, items: { type: 'string' } } }) },
      }),
  ],
  ['a version name that is none', (crd) => withVersion(crd, { name: 'V1' })],
  ['a scope that is none', (crd) => ({ ...crd, spec: { ...(crd['spec'] as object), scope: 'Somewhere' } })],
  [
    'an upper case plural',
    (crd) => ({ ...crd, spec: { ...(crd['spec'] as object), names: { plural: 'Bads', kind: 'Bad' } } }),
  ],
  ['a column without a path', (crd) => withVersion(crd, { additionalPrinterColumns: [{ name: 'A', type: 'string' }] })],
  ['no group', (crd) => ({ ...crd, spec: { ...(crd['spec'] as object), group: '' } })],
]

function withVersion(crd: Record<string, unknown>, change: object): unknown {
  const given = crd['spec'] as { versions: object[] }
  return { ...crd, spec: { ...given, versions: given.versions.map((version) => ({ ...version, ...change })) } }
}

function definition(sample: Sample): Record<string, unknown> {
  const plural = `${sample.name}s`
  const kind = `${sample.name[0]?.toUpperCase()}${sample.name.slice(1)}`
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural, kind, shortNames: [`sn${sample.name}`] },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: sample.schema }, ...sample.version },
      ],
    },
  }
}

export function customResourceSteps(random: Random): Step[] {
  const steps: Step[] = []
  const add = (label: string, request: Request): void => {
    steps.push({ label: `custom ${label}`, request })
  }
  for (const [name, change] of BAD_DEFINITIONS) {
    const crd = definition({ name: 'bad', schema: object({ spec: object({ a: { type: 'string' } }) }), objects: [] })
    add(`definition: ${name}`, { method: 'POST', path: ROOT, body: change(crd), query: { dryRun: 'All' } })
  }
  for (const sample of SAMPLES)
    add(`definition of ${sample.name}`, { method: 'POST', path: ROOT, body: definition(sample) })
  for (const sample of SAMPLES) sampleSteps(sample, { random, add })
  return steps
}

function sampleSteps(
  sample: Sample,
  { random, add }: { random: Random; add(label: string, request: Request): void },
): void {
  const plural = `${sample.name}s`
  const path = `/apis/example.com/v1/namespaces/one/${plural}`
  const kind = `${sample.name[0]?.toUpperCase()}${sample.name.slice(1)}`
  const make = (name: string, fields: object): object => ({
    apiVersion: 'example.com/v1',
    kind,
    metadata: { name },
    ...fields,
  })
  add(`${sample.name}: conditions of the definition`, { method: 'GET', path: `${ROOT}/${plural}.example.com` })
  for (const [index, fields] of sample.objects.entries()) {
    const name = `x${index}`
    for (const fieldValidation of ['Strict', 'Warn', 'Ignore']) {
      add(`${sample.name} ${index}: dry, ${fieldValidation}`, {
        method: 'POST',
        path,
        body: make(name, fields),
        query: { fieldValidation, dryRun: 'All' },
      })
    }
    add(`${sample.name} ${index}: create`, {
      method: 'POST',
      path,
      body: make(name, fields),
      query: { fieldManager: 'tester' },
    })
    add(`${sample.name} ${index}: apply`, {
      method: 'PATCH',
      path: `${path}/${name}`,
      contentType: 'application/apply-patch+yaml',
      body: make(name, fields),
      query: { fieldManager: 'applier', force: 'true' },
    })
    for (const [change, body] of (sample.changes ?? []).entries()) {
      add(`${sample.name} ${index}: change ${change}`, {
        method: 'PATCH',
        path: `${path}/${name}`,
        contentType: 'application/merge-patch+json',
        body,
        query: { fieldManager: 'editor' },
      })
      add(`${sample.name} ${index}: change ${change} of status`, {
        method: 'PATCH',
        path: `${path}/${name}/status`,
        contentType: 'application/merge-patch+json',
        body,
        query: { fieldManager: 'editor' },
      })
    }
    add(`${sample.name} ${index}: strategic patch`, {
      method: 'PATCH',
      path: `${path}/${name}`,
      contentType: 'application/strategic-merge-patch+json',
      body: {},
    })
    add(`${sample.name} ${index}: scale`, { method: 'GET', path: `${path}/${name}/scale` })
    if (random.chance(0.5))
      add(`${sample.name} ${index}: scaled`, {
        method: 'PATCH',
        path: `${path}/${name}/scale`,
        contentType: 'application/merge-patch+json',
        body: { spec: { replicas: 4 } },
      })
  }
  add(`${sample.name}: list`, { method: 'GET', path })
  add(`${sample.name}: table`, { method: 'GET', path, accept: TABLE })
  add(`${sample.name}: by field`, { method: 'GET', path, query: { fieldSelector: 'spec.mode=a' } })
  add(`${sample.name}: its group version`, { method: 'GET', path: '/apis/example.com/v1' })
  add(`${sample.name}: delete all`, { method: 'DELETE', path })
}
