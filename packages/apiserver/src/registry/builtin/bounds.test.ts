/** Manifests that were made to cost more than they weigh: what is said of them stays small. */
import type { KubeObject, ObjectMeta } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import type { FieldError } from '../../status-error.ts'
import { MAX_ERRORS, validateObjectMeta } from '../object-meta.ts'
import { builtinResources } from './index.ts'
import { validateAnnotations } from './pod-annotations.ts'

const COUNT = 5000
const resources = builtinResources()

function numbered<T>(make: (index: number) => T): T[] {
  return Array.from({ length: COUNT }, (_none, index) => make(index))
}

function errorsOf(spec: Record<string, unknown>, kind = 'Pod', fields: object = {}): FieldError[] {
  const resource = resources.find((each) => each.kind === kind)
  const object = resource?.decode?.({ metadata: { name: 'a' }, spec, ...fields }).object as KubeObject
  resource?.strategy.defaults?.(object)
  return resource?.strategy.validate?.(object) ?? []
}

function bytes(errors: readonly FieldError[]): number {
  return JSON.stringify(errors).length
}

describe('what is said of a hostile manifest', () => {
  const container = { name: 'c', image: 'x' }

  test.each<[name: string, spec: Record<string, unknown>]>([
    [
      'mounts of devices that are not there',
      {
        containers: [
          {
            ...container,
            volumeMounts: numbered((index) => ({ name: `v${index}`, mountPath: `/${index}` })),
            volumeDevices: numbered((index) => ({ name: `v${index}`, devicePath: `/${index}` })),
          },
        ],
      },
    ],
    ['containers of one name', { containers: numbered(() => container) }],
    [
      'claims that are not there, beside ones that are',
      {
        containers: [{ ...container, resources: { claims: numbered((index) => ({ name: `other-${index}` })) } }],
        resourceClaims: numbered((index) => ({ name: `claim-${index}`, resourceClaimName: 'x' })),
      },
    ],
    [
      'equal spread constraints',
      {
        containers: [container],
        topologySpreadConstraints: numbered(() => ({
          maxSkew: 1,
          topologyKey: 'a',
          whenUnsatisfiable: 'DoNotSchedule',
        })),
      },
    ],
  ])('%s is bounded', (_name, spec) => {
    const errors = errorsOf(spec)
    expect(errors).toHaveLength(MAX_ERRORS)
    expect(bytes(errors)).toBeLessThan(512 * 1024)
  })

  test.each<[name: string, spec: Record<string, unknown>]>([
    ['scopes that are none', { hard: {}, scopes: numbered((index) => `scope-${index}`) }],
    [
      'scopes that go with none of the resources',
      {
        hard: { configmaps: '1', secrets: '1' },
        scopes: numbered(() => 'Terminating'),
        scopeSelector: { matchExpressions: numbered(() => ({ scopeName: 'BestEffort', operator: 'Exists' })) },
      },
    ],
  ])('%s, all of which each error would show, are bounded', (_name, spec) => {
    const errors = errorsOf(spec, 'ResourceQuota')
    expect(errors).toHaveLength(MAX_ERRORS)
    expect(bytes(errors)).toBeLessThan(5 * 1024 * 1024)
  })

  test('topologies that are all equal are bounded', () => {
    const errors = errorsOf({}, 'StorageClass', { provisioner: 'a.b/c', allowedTopologies: numbered(() => ({})) })
    expect(errors).toHaveLength(MAX_ERRORS)
  })

  test.each<[name: string, metadata: ObjectMeta]>([
    [
      'owners that all want to control',
      {
        ownerReferences: numbered((index) => ({
          apiVersion: 'v1',
          kind: 'Pod',
          name: `p${index}`,
          uid: 'u',
          controller: true,
        })),
      },
    ],
    ['labels that are none', { labels: Object.fromEntries(numbered((index) => [`a b ${index}`, 'c d'])) }],
    [
      'a manager of control characters',
      {
        managedFields: [{ manager: '\u0001'.repeat(COUNT), operation: 'Update' }],
      },
    ],
  ])('%s is bounded', (_name, metadata) => {
    const errors = validateObjectMeta({ name: 'a', namespace: 'b', ...metadata }, { namespaced: true })
    expect(errors.length).toBeGreaterThan(0)
    expect(errors.length).toBeLessThanOrEqual(MAX_ERRORS)
    expect(bytes(errors)).toBeLessThan(16 * 1024 * 1024)
  })
})

test('containers that annotations name are not looked for among all of them each time', () => {
  let reads = 0
  const containers = numbered((index) => ({
    get name() {
      reads++
      return `c${index}`
    },
  }))
  const annotations = numbered((index) => [`container.apparmor.security.beta.kubernetes.io/c${index}`, 'unconfined'])
  const errors: FieldError[] = []
  validateAnnotations({ metadata: { annotations: Object.fromEntries(annotations) }, spec: { containers } }, errors)
  expect([errors, reads]).toEqual([[], COUNT])
})
