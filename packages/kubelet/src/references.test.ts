import type {
  Container,
  EnvFromSource,
  EphemeralContainer,
  PodSpec,
  VolumeProjection,
} from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { aPod } from './pods/observed-pod-fixtures.ts'
import { podRejection } from './pods/pod-admission.ts'
import { watchedReferencesOf } from './references.ts'

const name = (index: number): string => `o${String(index).padStart(4, '0')}`
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))

const ofVariable = (index: number) => ({
  name: `V${index}`,
  valueFrom: { secretKeyRef: { name: name(index), key: 'key', optional: true } },
})
const ofAll = (index: number): EnvFromSource => ({ configMapRef: { name: name(index) } })
const ofVolume = (index: number): VolumeProjection => ({ secret: { name: name(index) } })

function containers(main: Partial<Container>): Pick<PodSpec, 'containers'> {
  return { containers: [{ name: 'main', image: 'busybox', ...main }] }
}

test.each<[what: string, specOf: (count: number) => Partial<PodSpec>]>([
  ['variables', (count) => containers({ env: many(count, ofVariable) })],
  ['variables of an init container', (count) => ({ initContainers: [{ name: 'init', env: many(count, ofVariable) }] })],
  ['objects as environments', (count) => containers({ envFrom: many(count, ofAll) })],
  ['the same object', (count) => containers({ envFrom: many(count, () => ofAll(0)) })],
  ['projected sources', (count) => ({ volumes: [{ name: 'v', projected: { sources: many(count, ofVolume) } }] })],
  [
    'volumes and what else there is',
    (count) => ({
      volumes: many(200, (index) => ({ name: `v${index}`, configMap: { name: name(index) } })),
      ...containers({ env: many(count - 200, ofVariable) }),
    }),
  ],
  ['Secrets for pulls', (count) => ({ imagePullSecrets: many(count, (index) => ({ name: name(index) })) })],
])('a Pod refers to a thousand objects and to no more: %s', (_what, specOf) => {
  expect(podRejection(aPod({ spec: specOf(1_000) }))).toBeUndefined()
  const rejected = aPod({ spec: specOf(1_001) })
  expect(podRejection(rejected)).toEqual({
    reason: 'PodTooLarge',
    message: 'it has 1001 references, and this node takes at most 1000 in one Pod',
  })
  expect(watchedReferencesOf(rejected).length).toBeLessThanOrEqual(1_000)
})

test('variables with values of their own are no references', () => {
  const env = many(2_000, (index) => ({ name: `V${index}`, value: 'x' }))
  expect(podRejection(aPod({ spec: containers({ env }) }))).toBeUndefined()
})

test('ephemeral containers, which nobody can refuse any more, take no watch from the others', () => {
  const debug: EphemeralContainer = { name: 'debug', envFrom: many(2_000, ofAll) }
  const spec = { ...containers({ env: many(10, ofVariable) }), ephemeralContainers: [debug] }
  const watched = watchedReferencesOf(aPod({ spec }))
  expect(watched.slice(0, 10).map((each) => each.name)).toEqual(many(10, name))
  expect(watched).toHaveLength(1_000)
})
