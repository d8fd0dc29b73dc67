import type { ClaimEnvVar, Sandbox, SandboxClaim, SandboxTemplate } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { isLike, versionOf } from './sandbox-spec.ts'
import { hasWarmEnv, maySendEnv, takesWarmEnv, warmEnvSecrets, withoutWarmEnv, withWarmEnv } from './warm-env.ts'

const containers = [{ name: 'main', image: 'x' }]
const template = (pod: object = {}, spec: Partial<SandboxTemplate['spec']> = {}): SandboxTemplate => ({
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxTemplate',
  metadata: { name: 'web', namespace: 'n' },
  spec: {
    podTemplate: { spec: { containers, ...pod } },
    envVarsDelivery: 'Warm',
    envVarsInjectionPolicy: 'Allowed',
    ...spec,
  },
})
const mounting = (mountPath: string) => ({
  containers: [{ name: 'main', image: 'x', volumeMounts: [{ name: 'v', mountPath }] }],
  volumes: [{ name: 'v', emptyDir: {} }],
})

test.each<[what: string, template: SandboxTemplate, expected: boolean]>([
  ['that says Warm', template(), true],
  ['that says nothing', template({}, { envVarsDelivery: 'ColdStart' }), false],
  ['whose members are restored', template({}, { fromSnapshot: 's' }), false],
  ['that mounts something there', template(mounting('/run/caisson/env')), false],
  ['that mounts something there, written otherwise', template(mounting('/run//caisson/')), false],
  ['that mounts something else', template(mounting('/run/caisson-env')), true],
  ['that has a volume of that name', template({ volumes: [{ name: 'caisson-env-0', emptyDir: {} }] }), false],
])('members of a template %s', (_what, from, expected) => {
  expect(hasWarmEnv(from)).toBe(expected)
})

test.each<[what: string, env: ClaimEnvVar[], template: SandboxTemplate, expected: boolean]>([
  ['a value', [{ name: 'A', value: 'b' }], template(), true],
  ['one with a dollar sign', [{ name: 'A', value: 'a$b$' }], template(), true],
  ['one that refers to another', [{ name: 'A', value: '$(B)' }], template(), false],
  ['one with an escape', [{ name: 'A', value: '$$(B)' }], template(), false],
  ['one for a container', [{ name: 'A', value: 'b', containerName: 'main' }], template(), true],
  [
    'one for an init container, which has run',
    [{ name: 'A', value: 'b', containerName: 'setup' }],
    template({ initContainers: [{ name: 'setup', image: 'x' }] }),
    false,
  ],
  ['a name that is no key of a Secret', [{ name: 'A B', value: 'b' }], template(), false],
  ['a name that leads elsewhere', [{ name: '..', value: 'b' }], template(), false],
  [
    'one against the policy',
    [{ name: 'A', value: 'b' }],
    template({}, { envVarsInjectionPolicy: 'Disallowed' }),
    false,
  ],
])('%s', (_what, env, from, expected) => {
  expect(maySendEnv(from, env)).toBe(expected)
})

describe('a member', () => {
  const from = template()
  const { spec, hash } = versionOf(from)
  const member = { ...spec, podTemplate: { ...spec.podTemplate, spec: withWarmEnv(spec.podTemplate.spec, 'm') } }

  test('is like its template, and like no other', () => {
    expect(isLike(from, member, undefined)).toBe(true)
    expect(isLike(from, spec, undefined)).toBe(false)
    const cold = template({}, { envVarsDelivery: 'ColdStart' })
    expect(isLike(cold, member, undefined)).toBe(false)
    expect(isLike(cold, spec, undefined)).toBe(true)
    expect(versionOf(cold).hash).not.toBe(hash)
  })

  test('has a place in each container, and without them is what it was', () => {
    const twice = { containers: [...containers, { name: 'side', image: 'y' }], volumes: [] }
    const made = withWarmEnv(twice, 'm')
    expect(takesWarmEnv({ podTemplate: { spec: made } })).toBe(true)
    expect(made.volumes?.map(({ secret }) => secret?.secretName)).toEqual(['m.env.main', 'm.env.side'])
    expect(withoutWarmEnv(made)).toEqual({
      ...twice,
      containers: twice.containers.map((container) => ({ ...container, volumeMounts: [] })),
    })
  })
})

test('each container and each variable is looked at a few times, however many there are', () => {
  let reads = 0
  const count = 300
  const counted = <T extends object>(each: T, field: string, value: string): T =>
    Object.defineProperty(each, field, {
      get() {
        reads++
        return value
      },
      enumerable: true,
    })
  const many = Array.from({ length: count }, (_, index) => counted({ image: 'x' }, 'name', `c${index}`))
  const variables = Array.from({ length: count }, (_, index) =>
    counted({ name: 'A', value: 'b' }, 'containerName', `c${index}`),
  )
  expect(maySendEnv(template({ containers: many }), variables)).toBe(true)
  const claim = { metadata: {} } as SandboxClaim
  const sandbox = {
    metadata: { name: 'box', uid: 'u' },
    spec: { podTemplate: { spec: { containers: many } } },
  } as Sandbox
  const known = variables as { name: string; value: string; containerName: string }[]
  expect(warmEnvSecrets(claim, sandbox, known)).toHaveLength(count)
  expect(reads).toBeLessThan(40 * count)
})
