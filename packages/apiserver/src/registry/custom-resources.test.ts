import type { KubeObject } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { applyDefaults } from '../schema/defaults.ts'
import { prune } from '../schema/prune.ts'
import { validate } from '../schema/validate.ts'
import type { CrdVersion } from './crd.ts'
import { decodeCrd } from './crd-decode.ts'
import { CLEANUP_FINALIZER, crdStrategy, reconsiderNames } from './crd-strategy.ts'
import { customResources } from './custom-resources.ts'
import { comparePriority } from './custom-resources-versions.ts'
import type { Resource, StrategyContext } from './resource.ts'

const NOW = Date.UTC(2026, 0, 1)

const V1BETA1: CrdVersion = {
  name: 'v1beta1',
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      required: ['spec'],
      properties: {
        spec: {
          type: 'object',
          properties: {
            replicas: { type: 'integer', default: 1 },
            mode: { type: 'string', enum: ['Running', 'Suspended'], default: 'Running' },
          },
        },
        status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } },
      },
    },
  },
  subresources: {
    status: {},
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  },
  additionalPrinterColumns: [
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  selectableFields: [{ jsonPath: '.spec.mode' }],
}

function context(stored: KubeObject[] = []): StrategyContext {
  return { user: { username: 'admin', groups: [] }, now: NOW, list: () => stored, builtin: [] }
}

function definition(changes: object = {}, names: object = {}): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'boxes.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'boxes', kind: 'Box', shortNames: ['bx'], ...names },
      versions: [structuredClone(V1BETA1)],
      ...changes,
    },
  }
}

/** As a create request goes through the server. */
function create(crd: KubeObject, others: KubeObject[] = []): { crd: KubeObject; errors: string[] } {
  const strategy = crdStrategy
  const { object, error } = decodeCrd(crd)
  expect(error).toBeUndefined()
  const decoded = object as KubeObject
  strategy.defaults?.(decoded)
  strategy.prepareForCreate?.(decoded, context(others))
  return { crd: decoded, errors: said(strategy.validate?.(decoded) ?? []) }
}

function said(errors: ReadonlyArray<{ field: string; message: string }>): string[] {
  return errors.map((error) => `${error.field}: ${error.message}`)
}

function served(crd: KubeObject): Resource {
  const [resource] = customResources(crd)
  if (!resource) throw new Error('nothing is served')
  return resource
}

describe('customResources', () => {
  test('a resource for each served version, the best version first', () => {
    const versions = [
      { ...V1BETA1, name: 'v1alpha1', storage: false, deprecated: true },
      V1BETA1,
      { ...V1BETA1, name: 'v1', served: false, storage: false },
    ]
    const { crd, errors } = create(definition({ versions }))
    expect(errors).toEqual([])
    const resources = customResources(crd)
    expect(
      resources.map(({ version, storageVersion, deprecationWarning }) => [version, storageVersion, deprecationWarning]),
    ).toEqual([
      ['v1beta1', 'v1beta1', undefined],
      ['v1alpha1', 'v1beta1', 'example.com/v1alpha1 Box is deprecated; use example.com/v1beta1 Box'],
    ])
    const { group, kind, listKind, plural, singular, shortNames, namespaced, status, scale } = resources[0] as Resource
    expect({ group, kind, listKind, plural, singular, shortNames, namespaced, status, scale }).toEqual({
      group: 'example.com',
      kind: 'Box',
      listKind: 'BoxList',
      plural: 'boxes',
      singular: 'box',
      shortNames: ['bx'],
      namespaced: true,
      status: true,
      scale: V1BETA1.subresources?.scale,
    })
  })

  test('objects are pruned, defaulted, validated and printed by the schema of their version', () => {
    const resource = served(create(definition()).crd)
    const box = {
      apiVersion: 'example.com/v1beta1',
      kind: 'Box',
      metadata: { name: 'b', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { unknown: true },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    } as KubeObject
    expect(prune(resource.schema, box)).toEqual(['spec.unknown', 'status.conditions'])
    applyDefaults(resource.schema, box)
    expect(box['spec']).toEqual({ replicas: 1, mode: 'Running' })
    expect(validate(resource.schema, box)).toEqual([])
    expect(resource.columns.map((column) => [column.name, column.cell(box, NOW)])).toEqual([
      ['Name', 'b'],
      ['Ready', null],
      ['Replicas', 1],
      ['Age', '2026-01-01T00:00:00Z'],
    ])
    expect(resource.selectableFields['spec.mode']?.(box)).toBe('Running')
  })

  test('a creator cannot set status, and scaled numbers have to be numbers', () => {
    const { strategy } = served(create(definition()).crd)
    const box = { apiVersion: 'example.com/v1beta1', kind: 'Box', metadata: { name: 'b' }, status: {} } as KubeObject
    strategy.prepareForCreate?.(box, context())
    expect(box).not.toHaveProperty('status')
    box['spec'] = { replicas: -1 }
    box['status'] = { replicas: 'x', selector: 'a=b' }
    expect(said(strategy.validate?.(box) ?? [])).toEqual([
      '.spec.replicas: Invalid value: -1: should be a non-negative integer',
      '.status.replicas: Invalid value: 0: .status.replicas accessor error: x is of the type string, expected int64',
    ])
  })

  test('without columns the age is printed', () => {
    const { additionalPrinterColumns: _, ...plain } = V1BETA1
    expect(served(create(definition({ versions: [plain] })).crd).columns.map((column) => column.name)).toEqual([
      'Name',
      'Age',
    ])
  })

  test('finalizers without a domain are warned about once', () => {
    const { strategy } = served(create(definition()).crd)
    const before = { metadata: { finalizers: ['old'] } } as unknown as KubeObject
    const after = { metadata: { finalizers: ['old', 'new', 'example.com/fine'] } } as unknown as KubeObject
    expect(strategy.warnings?.(after, before)).toEqual([
      'metadata.finalizers: "new": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers',
    ])
  })

  test('versions sort as Kubernetes sorts them', () => {
    const versions = ['foo1', 'v3beta1', 'v12alpha1', 'v1', 'v11beta2', 'v10beta3', 'v10', 'v2', 'foo10', 'v12alpha2']
    expect(versions.sort(comparePriority)).toEqual([
      'v10',
      'v2',
      'v1',
      'v11beta2',
      'v10beta3',
      'v3beta1',
      'v12alpha2',
      'v12alpha1',
      'foo1',
      'foo10',
    ])
  })
})

describe('CustomResourceDefinition', () => {
  test('is established at once, with defaults filled in', () => {
    const { crd, errors } = create(definition())
    expect(errors).toEqual([])
    expect({
      names: (crd['spec'] as { names: object }).names,
      conversion: (crd['spec'] as { conversion: object }).conversion,
    }).toEqual({
      names: { plural: 'boxes', singular: 'box', shortNames: ['bx'], kind: 'Box', listKind: 'BoxList' },
      conversion: { strategy: 'None' },
    })
    expect(crd['status']).toEqual({
      storedVersions: ['v1beta1'],
      acceptedNames: { plural: 'boxes', singular: 'box', shortNames: ['bx'], kind: 'Box', listKind: 'BoxList' },
      conditions: [
        {
          type: 'NamesAccepted',
          status: 'True',
          reason: 'NoConflicts',
          message: 'no conflicts found',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
        {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    })
  })

  test('names that another definition of the group has are not accepted, until it gives them up', () => {
    const first = create(definition()).crd
    const other = definition(
      {},
      { plural: 'crates', singular: 'bx', kind: 'Box', listKind: 'CrateList', shortNames: [] },
    )
    other.metadata.name = 'crates.example.com'
    const second = create(other, [first]).crd
    const { conditions } = second['status'] as { conditions: Array<{ type: string; reason: string; message: string }> }
    expect(conditions.map(({ type, reason, message }) => [type, reason, message])).toEqual([
      ['NamesAccepted', 'KindConflict', '"Box" is already in use'],
      ['Established', 'NotAccepted', 'not all names are accepted'],
    ])
    expect(customResources(second)).toEqual([])
    expect(reconsiderNames(second, { definitions: [first, second], builtin: [] }, NOW)).toBeUndefined()
    const status = reconsiderNames(second, { definitions: [second], builtin: [] }, NOW)
    expect(customResources({ ...second, status })[0]?.kind).toBe('Box')
  })

  test('what clients of the objects rely on does not change once it is established', () => {
    const strategy = crdStrategy
    const { crd } = create(definition())
    const next = structuredClone(crd)
    Object.assign(next['spec'] as object, { scope: 'Cluster', group: 'other.com' })
    strategy.prepareForUpdate?.(next, crd, context())
    expect(said(strategy.validateUpdate?.(next, crd) ?? [])).toEqual([
      'spec.scope: Invalid value: "Cluster": field is immutable',
      'spec.group: Invalid value: "other.com": field is immutable',
    ])
  })

  test('a version in which objects are stored cannot go', () => {
    const strategy = crdStrategy
    const { crd } = create(definition())
    const next = structuredClone(crd)
    Object.assign(next['spec'] as object, { versions: [{ ...V1BETA1, name: 'v1' }] })
    strategy.prepareForUpdate?.(next, crd, context())
    expect(said(strategy.validateUpdate?.(next, crd) ?? [])).toEqual([
      'status.storedVersions[0]: Invalid value: "v1beta1": missing from spec.versions; v1beta1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1beta1 and removes v1beta1 from status.storedVersions',
    ])
  })

  test('deletion waits for the objects', () => {
    const strategy = crdStrategy
    const { crd } = create(definition())
    crd.metadata.deletionTimestamp = '2026-01-01T00:00:01Z'
    strategy.prepareForDeletion?.(crd)
    expect(crd.metadata.finalizers).toEqual([CLEANUP_FINALIZER])
    expect((crd['status'] as { conditions: object[] }).conditions.at(-1)).toEqual({
      type: 'Terminating',
      status: 'True',
      reason: 'InstanceDeletionPending',
      message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
      lastTransitionTime: '2026-01-01T00:00:01Z',
    })
  })

  test.each<[name: string, changes: object, errors: string[]]>([
    [
      'a schema has to say the type of everything',
      {
        versions: [
          {
            ...V1BETA1,
            schema: { openAPIV3Schema: { type: 'object', properties: { spec: {} } } },
            selectableFields: [],
          },
        ],
      },
      [
        'spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields',
      ],
    ],
    [
      'references and other parts of JSON Schema',
      {
        versions: [
          {
            ...V1BETA1,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: { type: 'object', $ref: 'io.k8s.api.core.v1.Pod', definitions: { a: { type: 'string' } } },
                },
              },
            },
            selectableFields: [],
          },
        ],
      },
      [
        'spec.validation.openAPIV3Schema.properties[spec].definitions: Forbidden: definitions is not supported',
        'spec.validation.openAPIV3Schema.properties[spec].$ref: Forbidden: $ref is not supported',
      ],
    ],
    [
      'defaults that the schema does not allow',
      {
        versions: [
          {
            ...V1BETA1,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    properties: { mode: { type: 'string', maxLength: 1, default: 'long' } },
                    default: { mode: 'x', other: 1 },
                  },
                },
              },
            },
          },
        ],
      },
      [
        'spec.validation.openAPIV3Schema.properties[spec].default: Invalid value: {"mode":"x","other":1}: must not have unknown fields',
        'spec.validation.openAPIV3Schema.properties[spec].properties[mode].default: Too long: may not be more than 1 byte',
      ],
    ],
    [
      'patterns that cannot be read or would cost too much',
      {
        versions: [
          {
            ...V1BETA1,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    properties: {
                      mode: { type: 'string', pattern: '(?=look)' },
                      big: { type: 'string', pattern: '(a{1,1000}){1,1000}' },
                    },
                  },
                },
              },
            },
          },
        ],
      },
      [
        'spec.validation.openAPIV3Schema.properties[spec].properties[big].pattern: Invalid value: "(a{1,1000}){1,1000}": must be a valid regular expression, but isn\'t: error parsing regexp: expression too large',
        'spec.validation.openAPIV3Schema.properties[spec].properties[mode].pattern: Invalid value: "(?=look)": must be a valid regular expression, but isn\'t: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
      ],
    ],
    [
      'exactly one storage version',
      { versions: [V1BETA1, { ...V1BETA1, name: 'v1' }] },
      [
        'spec.versions: Invalid value: [{"Name":"v1beta1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null},{"Name":"v1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must have exactly one version marked as storage version',
        'status.storedVersions: Invalid value: ["v1beta1"]: must have the storage version v1',
      ],
    ],
    [
      'webhook conversion',
      { conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } } },
      ['spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook'],
    ],
    [
      'webhook conversion over an insecure address, with reviews that nobody knows',
      {
        conversion: {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'http://example.com/c' }, conversionReviewVersions: ['v7'] },
        },
      },
      [
        `spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
        'spec.conversion.conversionReviewVersions: Invalid value: ["v7"]: must include at least one of v1, v1beta1',
      ],
    ],
    [
      'the name says plural and group',
      { names: { plural: 'crates', kind: 'Crate' } },
      ['metadata.name: Invalid value: "boxes.example.com": must be spec.names.plural+"."+spec.group'],
    ],
    [
      "the community's groups",
      { group: 'x.k8s.io' },
      [
        'metadata.name: Invalid value: "boxes.example.com": must be spec.names.plural+"."+spec.group',
        'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
      ],
    ],
  ])('refused: %s', (_name, changes, errors) => {
    expect(create(definition(changes)).errors).toEqual(errors)
  })

  test('schemas inside of items are decoded as strictly as those around them', () => {
    const versions = [
      {
        ...V1BETA1,
        schema: { openAPIV3Schema: { type: 'object', properties: { l: { type: 'array', items: { type: 5 } } } } },
      },
    ]
    expect(decodeCrd(definition({ versions })).error).toBe(
      'json: cannot unmarshal number into Go struct field JSONSchemaProps.type of type string',
    )
  })

  test('formats that nobody checks are warned about', () => {
    const { crd } = create(definition())
    const schema = (crd['spec'] as { versions: CrdVersion[] }).versions[0]?.schema?.openAPIV3Schema
    Object.assign(schema?.properties?.['spec']?.properties ?? {}, { mode: { type: 'string', format: 'datetiem' } })
    expect(crdStrategy.warnings?.(crd)).toEqual(['unrecognized format "datetiem"'])
  })
})
