import type { ClaimEnvVar } from '@caisson/api'
import type { Container, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { withEnv } from './env.ts'

const main: Container = { name: 'main', image: 'x', env: [{ name: 'A', value: 'template' }] }
const side: Container = { name: 'side', image: 'x' }
const setup: Container = { name: 'setup', image: 'x' }
const sourced: Container = { ...main, envFrom: [{ secretRef: { name: 's' } }] }
const pod: PodSpec = { initContainers: [setup], containers: [main, side] }
const rejected = (message: string) => ({ rejected: message })
const added = { name: 'B', value: 'claim' }

test.each<
  [what: string, spec: PodSpec, env: ClaimEnvVar[], policy: 'Allowed' | 'Overrides' | 'Disallowed' | undefined, object]
>([
  ['nothing is nothing, whatever the policy', pod, [], 'Disallowed', pod],
  [
    'a new one goes to the first container',
    pod,
    [added],
    'Allowed',
    { ...pod, containers: [{ ...main, env: [{ name: 'A', value: 'template' }, added] }, side] },
  ],
  [
    'or to the one that is named',
    pod,
    [{ ...added, containerName: 'side' }],
    'Allowed',
    { ...pod, containers: [main, { ...side, env: [added] }] },
  ],
  [
    'an init container among them',
    pod,
    [{ ...added, containerName: 'setup' }],
    'Allowed',
    { ...pod, initContainers: [{ ...setup, env: [added] }] },
  ],
  [
    'with Overrides one of the template is replaced in its place',
    pod,
    [{ name: 'A', value: 'claim' }],
    'Overrides',
    { ...pod, containers: [{ ...main, env: [{ name: 'A', value: 'claim' }] }, side] },
  ],
  [
    'a value may come from a Secret',
    pod,
    [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }],
    'Overrides',
    {
      ...pod,
      containers: [{ ...main, env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }, side],
    },
  ],
  [
    'not from a Secret that the template does not list',
    pod,
    [{ name: 'A', valueFrom: { secretKeyRef: { name: 'other', key: 'k', optional: true } } }],
    'Overrides',
    rejected('variable "A" refers to Secret "other", which envVarsSources.secrets of the template does not list'),
  ],
  [
    'nor from a ConfigMap with the name of a Secret that it lists',
    pod,
    [added, { name: 'A', containerName: 'setup', valueFrom: { configMapKeyRef: { name: 's', key: 'k' } } }],
    'Overrides',
    rejected('variable "A" refers to ConfigMap "s", which envVarsSources.configMaps of the template does not list'),
  ],
  [
    'of two with one name the later one',
    pod,
    [added, { ...added, value: 'again' }],
    'Overrides',
    {
      ...pod,
      containers: [
        {
          ...main,
          env: [
            { name: 'A', value: 'template' },
            { ...added, value: 'again' },
          ],
        },
        side,
      ],
    },
  ],
  [
    'Disallowed',
    pod,
    [added],
    'Disallowed',
    rejected('environment variable injection is not allowed by the template policy'),
  ],
  [
    'no policy is Disallowed',
    pod,
    [added],
    undefined,
    rejected('environment variable injection is not allowed by the template policy'),
  ],
  [
    'Allowed replaces nothing',
    pod,
    [{ name: 'A', value: 'claim' }],
    'Allowed',
    rejected('environment variable override is not allowed by the template policy for variable "A"'),
  ],
  [
    'an unknown container',
    pod,
    [{ ...added, containerName: 'other' }],
    'Overrides',
    rejected('target container "other" not found in template for environment variable "B"'),
  ],
  [
    'Allowed, where what there is cannot be known',
    { containers: [sourced] },
    [added],
    'Allowed',
    rejected(
      'container "main" uses EnvFrom sources; Allowed policy cannot safely prevent overriding EnvFrom-provided variables',
    ),
  ],
])('%s', (_what, spec, env, policy, expected) => {
  const rules = { ...(policy && { envVarsInjectionPolicy: policy }), envVarsSources: { secrets: ['s'] } }
  expect(withEnv(spec, env, rules)).toEqual(expected)
})

test('each variable and each container is looked at a few times, however many there are', () => {
  let reads = 0
  const count = 300
  const counted = (variable: ClaimEnvVar) => ({
    ...variable,
    get name() {
      reads++
      return variable.name
    },
    get containerName() {
      reads++
      return variable.containerName ?? ''
    },
  })
  const all = Array.from({ length: count }, (_, index) => index)
  const env = all.flatMap((each) => [
    counted({ name: `B${each}`, value: '' }),
    counted({ name: 'C', value: '', containerName: `c${each}` }),
  ])
  const containers = all.map((each) => ({
    name: `c${each}`,
    env: each === 0 ? all.map((other) => counted({ name: `A${other}`, value: '' })) : [],
  }))
  const spec = withEnv({ containers }, env, { envVarsInjectionPolicy: 'Allowed' }) as PodSpec
  expect(spec.containers.map((container) => container.env?.length)).toEqual([
    1 + 2 * count,
    ...all.slice(1).map(() => 1),
  ])
  expect(reads).toBeLessThan(30 * count)
})
