import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SandboxClaimSpec } from '../claim/claim.ts'
import type { SandboxWarmPoolSpec } from '../pool/pool.ts'
import type { SandboxTemplateSpec } from '../template/template.ts'
import { flatCrds } from './crds.ts'
import type { FlatClaimSpec, FlatPoolSpec } from './flat.ts'
import { returnClaim, translateClaim } from './flat-claim.ts'
import { returnPool, translatePool } from './flat-pool.ts'
import { formatGoSeconds, parseGoDuration, wholeSeconds } from './go-duration.ts'

const created = '2026-01-01T12:00:00Z'
const metadata = { name: 'box', creationTimestamp: created }
const podTemplate = { spec: { containers: [{ name: 'main', image: 'busybox' }] } }

test('the flat kinds have no names that would shadow the canonical ones', () => {
  expect(flatCrds().map(({ metadata, spec: { names } }) => [metadata.name, names.singular, names.shortNames])).toEqual([
    ['sandboxtemplates.agents.x-k8s.io', 'sandboxtemplate', undefined],
    ['sandboxclaims.agents.x-k8s.io', 'sandboxclaim', undefined],
    ['sandboxwarmpools.agents.x-k8s.io', 'sandboxwarmpool', undefined],
  ])
})

describe('durations', () => {
  test.each<[string, number | string]>([
    ['1h', 3_600_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['90s', 90_000],
    ['250ms', 250],
    ['.5s', 500],
    ['1.s', 1000],
    ['+1m', 60_000],
    ['-1m', -60_000],
    ['0', 0],
    ['2µs', 0.002],
    ['', 'expected a duration such as 90s, 10m or 1h30m, found ""'],
    ['1', 'expected a duration such as 90s, 10m or 1h30m, found "1", which has no unit'],
    ['1 h', 'expected a duration such as 90s, 10m or 1h30m, found "1 h"'],
    ['1d', 'expected a duration such as 90s, 10m or 1h30m, found "1d"'],
    ['h', 'expected a duration such as 90s, 10m or 1h30m, found "h"'],
    ['1h1', 'expected a duration such as 90s, 10m or 1h30m, found "1h1"'],
    ['99999999h', 'expected a duration such as 90s, 10m or 1h30m, found "99999999h", which is longer than 292 years'],
  ])('%j', (text, expected) => {
    expect(parseGoDuration(text)).toEqual(expected)
  })

  test('a text far too long costs nothing and is not repeated', () => {
    expect(parseGoDuration('1h'.repeat(1_000_000))).toMatch(/^expected a duration .{0,200}, which is too long$/)
  })

  test('what is written means what was meant', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), (seconds) => {
        expect(wholeSeconds(formatGoSeconds(seconds))).toBe(seconds)
      }),
    )
  })
})

describe('claims', () => {
  test.each<[string, FlatClaimSpec, unknown]>([
    [
      'a ttl is an end that takes everything along',
      { templateRef: { name: 'python' }, ttl: '1h' },
      {
        canonical: {
          templateRef: { name: 'python' },
          lifecycle: { shutdownTime: '2026-01-01T13:00:00Z', shutdownPolicy: 'Delete' },
        },
        ignored: [],
      },
    ],
    [
      'an older word for templateRef',
      { sandboxTemplateRef: { name: 'python' } },
      { canonical: { templateRef: { name: 'python' } }, ignored: [] },
    ],
    [
      'canonical words stay',
      { warmPoolRef: { name: 'pool' }, env: [{ name: 'A', value: 'b' }] },
      { canonical: { warmPoolRef: { name: 'pool' }, env: [{ name: 'A', value: 'b' }] }, ignored: [] },
    ],
    [
      'a ttl that is none',
      { templateRef: { name: 'python' }, ttl: 'soon' },
      { problem: 'spec.ttl: expected a duration such as 90s, 10m or 1h30m, found "soon"' },
    ],
    [
      'a negative ttl',
      { templateRef: { name: 'python' }, ttl: '-1h' },
      { problem: 'spec.ttl: expected a duration that is not negative, found "-1h"' },
    ],
  ])('%s', (_name, spec, expected) => {
    expect(translateClaim({ metadata, spec })).toEqual(expected)
  })

  const lifecycle = fc.record(
    {
      shutdownTime: fc
        .integer({ min: -10_000, max: 10_000_000 })
        .map((seconds) => `${new Date(Date.parse(created) + seconds * 1000).toISOString().slice(0, 19)}Z`),
      shutdownPolicy: fc.constantFrom('Delete' as const, 'Retain' as const),
      ttlSecondsAfterFinished: fc.nat(100),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  const name = fc.constantFrom('a', 'b').map((name) => ({ name }))
  const canonical = fc
    .record(
      { templateRef: name, warmPoolRef: name, lifecycle, readyDeadlineSeconds: fc.nat(100) },
      { requiredKeys: [], noNullPrototype: true },
    )
    .map((spec) => spec as SandboxClaimSpec)
  const flat: fc.Arbitrary<FlatClaimSpec> = fc.oneof(
    canonical,
    fc.record({ sandboxTemplateRef: name, ttl: fc.constantFrom('1h', '90s', '1h30m', '0s', 'never') }),
    fc.record({ warmPoolRef: name, ttl: fc.nat(1_000_000).map(formatGoSeconds) }),
  )

  test('what is taken back says just what the canonical object says, and nothing is written where it said so already', () => {
    fc.assert(
      fc.property(flat, canonical, (spec, wanted) => {
        const back = returnClaim({ metadata, spec }, wanted)
        expect(translateClaim({ metadata, spec: back })).toEqual({ canonical: wanted, ignored: [] })
        expect(returnClaim({ metadata, spec: back }, wanted)).toBe(back)
      }),
    )
  })

  test('a ttl stays a ttl', () => {
    const spec: FlatClaimSpec = { templateRef: { name: 'a' }, ttl: '1h' }
    const later = { shutdownTime: '2026-01-01T14:30:00Z', shutdownPolicy: 'Delete' as const }
    expect(returnClaim({ metadata, spec }, { templateRef: { name: 'a' }, lifecycle: later })).toEqual({
      templateRef: { name: 'a' },
      ttl: '2h30m',
    })
    const kept = { ...later, shutdownPolicy: 'Retain' as const }
    expect(returnClaim({ metadata, spec }, { templateRef: { name: 'a' }, lifecycle: kept })).toEqual({
      templateRef: { name: 'a' },
      lifecycle: kept,
    })
  })
})

describe('pools', () => {
  const template: SandboxTemplateSpec = { podTemplate }

  test.each<[string, FlatPoolSpec, unknown]>([
    [
      'sizes, a time and a template of its own',
      { minSize: 3, maxSize: 10, idleTimeout: '5m', template: { spec: { podTemplate } } },
      {
        canonical: {
          pool: { sandboxTemplateRef: { name: 'box' }, minReplicas: 3, maxReplicas: 10, idleTimeoutSeconds: 300 },
          template,
        },
        ignored: [],
      },
    ],
    [
      'the template as its spec alone',
      { replicas: 2, template: { podTemplate, service: true } },
      {
        canonical: {
          pool: { sandboxTemplateRef: { name: 'box' }, replicas: 2 },
          template: { podTemplate, service: true },
        },
        ignored: [],
      },
    ],
    [
      'the template as that of a Pod',
      { template: { metadata: { labels: { app: 'x' } }, spec: podTemplate.spec } },
      {
        canonical: {
          pool: { sandboxTemplateRef: { name: 'box' } },
          template: { podTemplate: { metadata: { labels: { app: 'x' } }, spec: podTemplate.spec } },
        },
        ignored: [],
      },
    ],
    [
      'what has no effect is said',
      { templateRef: { name: 'python' }, replicas: 2, minSize: 1 },
      {
        canonical: {
          pool: { sandboxTemplateRef: { name: 'python' }, replicas: 2, minReplicas: 1 },
          template: undefined,
        },
        ignored: ['spec.replicas has no effect beside minSize and maxSize, between which the pool follows demand'],
      },
    ],
    [
      'a time without sizes',
      { templateRef: { name: 'python' }, idleTimeout: '1500ms' },
      {
        canonical: { pool: { sandboxTemplateRef: { name: 'python' }, idleTimeoutSeconds: 2 }, template: undefined },
        ignored: ['spec.idleTimeout has no effect without minSize and maxSize'],
      },
    ],
    [
      'a template that is none',
      { template: { image: 'busybox' } },
      {
        problem:
          'spec.template: expected spec.podTemplate (of a SandboxTemplate), podTemplate, or spec.containers (of a Pod template)',
      },
    ],
    [
      'no time at all',
      { templateRef: { name: 'python' }, minSize: 1, idleTimeout: '0s' },
      { problem: 'spec.idleTimeout: expected a duration longer than none, found "0s"' },
    ],
  ])('%s', (_name, spec, expected) => {
    expect(translatePool({ metadata, spec })).toEqual(expected)
  })

  const optionalCount = fc.option(fc.nat(20), { nil: undefined })
  const present = (value: { [field: string]: number | undefined }): Partial<SandboxWarmPoolSpec> =>
    Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined))
  const templates: fc.Arbitrary<SandboxTemplateSpec> = fc.constantFrom(
    template,
    { podTemplate: { metadata: { labels: { app: 'x' } }, spec: podTemplate.spec } },
    { podTemplate, service: true },
  )
  const canonicalPool = fc
    .record({
      minReplicas: optionalCount,
      maxReplicas: optionalCount,
      replicas: optionalCount,
      idleTimeoutSeconds: fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined }),
    })
    .map(present)
  const canonical = fc.oneof(
    fc.record({ pool: canonicalPool, template: templates, name: fc.constant('box') }),
    fc.record({ pool: canonicalPool, template: fc.constant(undefined), name: fc.constantFrom('python', 'other') }),
  )
  const flat = fc
    .record({
      sizes: fc.constantFrom('minSize', 'minReplicas', undefined),
      idle: fc.constantFrom<Partial<FlatPoolSpec>>(
        {},
        { idleTimeout: '5m' },
        { idleTimeoutSeconds: 9 },
        { idleTimeout: 'no' },
      ),
      source: fc.constantFrom<Partial<FlatPoolSpec>>(
        { templateRef: { name: 'python' } },
        { sandboxTemplateRef: { name: 'python' } },
        { template: { spec: { podTemplate } } },
        { template: { podTemplate } },
        { template: { spec: podTemplate.spec } },
        { template: {} },
      ),
    })
    .map(({ sizes, idle, source }): FlatPoolSpec => ({ ...source, ...idle, ...(sizes && { [sizes]: 1 }) }))

  test('what is taken back says just what the canonical objects say, and nothing is written where it said so already', () => {
    fc.assert(
      fc.property(flat, canonical, (spec, { pool, template, name }) => {
        const wanted = { pool: { ...pool, sandboxTemplateRef: { name } }, template }
        const back = returnPool({ metadata, spec }, wanted)
        expect(translatePool({ metadata, spec: back })).toMatchObject({ canonical: wanted })
        expect(returnPool({ metadata, spec: back }, wanted)).toBe(back)
      }),
    )
  })
})
