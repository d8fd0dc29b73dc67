/** Claims with variables, on pools whose members can be given some. */
import { ANNOTATIONS, controllerOf, findCondition, type SandboxClaim, type SandboxTemplate } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import {
  type ApiRequest,
  resources,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
  TransportError,
} from '@caisson/client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { useClaims } from '../testing/claim-fixture.ts'
import { runControllers, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)
const envVarsSources = { secrets: ['keys', 'none'], configMaps: ['cfg'] }
let node: AsyncDisposable

beforeEach(async () => {
  node = await startTestNode(t.client, t.namespace)
})
afterEach(async () => node[Symbol.asyncDispose]())

const base64 = (text: string) => Buffer.from(text).toString('base64')

/** A pool of one, Ready. Gives the member's name. */
async function poolOfOne(spec: Partial<SandboxTemplate['spec']> = {}): Promise<string> {
  const containers = [
    { name: 'main', image: 'example.com/main', env: [{ name: 'MODE', value: 'template' }] },
    { name: 'side', image: 'example.com/side' },
  ]
  const podTemplate = { spec: { containers } }
  await t.client.create(
    sandboxTemplates,
    {
      metadata: { name: 'web' },
      spec: { podTemplate, envVarsDelivery: 'Warm', envVarsInjectionPolicy: 'Overrides', envVarsSources, ...spec },
    },
    { namespace: t.namespace },
  )
  await t.client.create(
    sandboxWarmPools,
    { metadata: { name: 'pool' }, spec: { replicas: 1, sandboxTemplateRef: { name: 'web' } } },
    { namespace: t.namespace },
  )
  await until(
    t.client,
    sandboxWarmPools,
    { namespace: t.namespace, name: 'pool' },
    (pool) => pool?.status?.readyReplicas === 1,
  )
  await t.running.controllers.idle()
  const [member] = (await t.client.list(SANDBOXES, { namespace: t.namespace })).items
  t.running.writes.length = 0
  return member?.metadata.name ?? ''
}

const claim = (
  env: NonNullable<SandboxClaim['spec']['env']>,
  annotations: NonNullable<SandboxClaim['metadata']['annotations']> = {},
) =>
  t.client.create(
    sandboxClaims,
    { metadata: { name: 'mine', annotations }, spec: { warmPoolRef: { name: 'pool' }, env } },
    { namespace: t.namespace },
  )
const readyOf = ({ status }: SandboxClaim) => findCondition(status?.conditions, 'Ready')
const untilMine = (holds: (claim: SandboxClaim) => boolean) =>
  until(t.client, sandboxClaims, { namespace: t.namespace, name: 'mine' }, (mine) => mine !== undefined && holds(mine))

test('a member is given a claim’s variables by a Secret of its own, in one write more, before the claim is Ready', async () => {
  const member = await poolOfOne()
  await t.client.create(
    resources.secrets,
    { metadata: { name: 'keys' }, data: { token: base64('t0ken') } },
    { namespace: t.namespace },
  )
  await t.client.create(
    resources.configMaps,
    { metadata: { name: 'cfg' }, data: { color: 'blue' } },
    { namespace: t.namespace },
  )
  t.running.writes.length = 0
  await claim([
    { name: 'MODE', value: 'claim' },
    { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
    { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'color' } } },
    { name: 'NONE', valueFrom: { secretKeyRef: { name: 'none', key: 'k', optional: true } } },
  ])
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  await t.running.controllers.idle()
  expect(mine.status?.sandbox?.name).toBe(member)
  const ofClaim = t.running.writes.filter((write) => new RegExp(`${member}|sandboxclaims|secrets`).test(write))
  expect(ofClaim.slice(0, 4)).toEqual([
    'PATCH sandboxclaims/mine',
    `PATCH sandboxes/${member}`,
    'POST secrets',
    'PATCH sandboxclaims/mine/status',
  ])
  expect(ofClaim.slice(4).sort()).toEqual([`PATCH pods/${member}`, `PATCH sandboxes/${member}/status`])

  const sandbox = await t.client.get(SANDBOXES, member, { namespace: t.namespace })
  const secret = await t.client.get(resources.secrets, `${member}.env.main`, { namespace: t.namespace })
  expect(secret.data).toEqual({ MODE: base64('claim'), TOKEN: base64('t0ken'), COLOR: base64('blue') })
  expect(secret.metadata.ownerReferences).toEqual([
    {
      apiVersion: SANDBOXES.apiVersion,
      kind: 'Sandbox',
      name: member,
      uid: sandbox.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ])
  // The Pod that is there already looks for it there, and nothing but the Secret has the values.
  const pod = await t.client.get(resources.pods, member, { namespace: t.namespace })
  expect(pod.spec?.volumes?.filter(({ name }) => name.startsWith('caisson-env-'))).toEqual([
    { name: 'caisson-env-0', secret: { secretName: `${member}.env.main`, optional: true, defaultMode: 0o444 } },
    { name: 'caisson-env-1', secret: { secretName: `${member}.env.side`, optional: true, defaultMode: 0o444 } },
  ])
  await t.running.controllers.idle()
  expect(t.running.events).not.toEqual([])
  expect(JSON.stringify([pod, sandbox, mine.status, t.running.events])).not.toMatch(/t0ken|dDBrZW4/)
  expect(t.running.errors).toEqual([])
})

const STOLEN = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'admin', key: 'token' } } }]

test.each<[what: string, spec: Partial<SandboxTemplate['spec']>, message: string]>([
  [
    'allows no variables',
    { envVarsInjectionPolicy: 'Disallowed' },
    'environment variable injection is not allowed by the template policy',
  ],
  [
    'does not list their Secret',
    {},
    'variable "A" refers to Secret "admin", which envVarsSources.secrets of the template does not list',
  ],
])('a claim that names its member itself is given nothing where the template %s', async (_what, spec, message) => {
  const member = await poolOfOne(spec)
  await t.client.create(
    resources.secrets,
    { metadata: { name: 'admin' }, data: { token: base64('t0ken') } },
    { namespace: t.namespace },
  )
  t.running.writes.length = 0
  await claim(STOLEN, { [ANNOTATIONS.sandboxName]: member })
  const failed = await untilMine((found) => readyOf(found) !== undefined)
  await t.running.controllers.idle()
  expect(readyOf(failed)).toMatchObject({
    status: 'False',
    reason: 'EnvVarsInjectionRejected',
    message: `environment variable injection rejected: ${message}`,
  })
  expect(failed.status?.sandbox).toBeUndefined()
  expect(t.running.writes).toEqual(['PATCH sandboxclaims/mine/status'])
  expect(t.running.errors).toEqual([])
})

test('variables that a claim is edited to have once it has a member are given as the template says, or not at all', async () => {
  const member = await poolOfOne()
  await t.client.create(
    resources.secrets,
    { metadata: { name: `${member}.env.main` }, data: {} },
    { namespace: t.namespace },
  )
  await claim([{ name: 'A', value: 'b' }])
  await untilMine((found) => readyOf(found)?.reason === 'EnvVarsInjectionRejected')
  const sandbox = await t.client.get(SANDBOXES, member, { namespace: t.namespace })
  expect(controllerOf(sandbox)?.name).toBe('mine')
  await t.client.delete(resources.secrets, `${member}.env.main`, { namespace: t.namespace })
  await t.client.create(
    resources.secrets,
    { metadata: { name: 'admin' }, data: { token: base64('t0ken') } },
    { namespace: t.namespace },
  )
  await t.client.patch(sandboxClaims, 'mine', { spec: { env: STOLEN } }, { namespace: t.namespace })
  const failed = await untilMine((found) => readyOf(found)?.observedGeneration === 2)
  expect(readyOf(failed)?.message).toBe(
    'environment variable injection rejected: variable "A" refers to Secret "admin", which envVarsSources.secrets of the template does not list',
  )
  const secrets = (await t.client.list(resources.secrets, { namespace: t.namespace })).items
  expect(secrets.map(({ metadata }) => metadata.name)).toEqual(['admin'])
})

test('without the template that a member was made from it is given nothing', async () => {
  const member = await poolOfOne()
  await t.client.delete(sandboxTemplates, 'web', { namespace: t.namespace })
  await t.running.controllers.idle()
  await claim([{ name: 'A', value: 'b' }], { [ANNOTATIONS.sandboxName]: member })
  const failed = await untilMine((found) => readyOf(found) !== undefined)
  expect(readyOf(failed)?.message).toBe(
    `environment variable injection rejected: the template of Sandbox "${member}" is gone, and with it what it allows`,
  )
})

test('each container gets its own', async () => {
  const member = await poolOfOne()
  await claim([
    { name: 'A', value: 'first' },
    { name: 'B', value: 'second', containerName: 'side' },
  ])
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  expect(mine.status?.sandbox?.name).toBe(member)
  const secrets = (await t.client.list(resources.secrets, { namespace: t.namespace })).items
  expect(secrets.map(({ metadata, data }) => [metadata.name, data])).toEqual([
    [`${member}.env.main`, { A: base64('first') }],
    [`${member}.env.side`, { B: base64('second') }],
  ])
})

test.each<[what: string, env: NonNullable<SandboxClaim['spec']['env']>, message: string]>([
  [
    'a Secret that is not there',
    [{ name: 'A', valueFrom: { secretKeyRef: { name: 'keys', key: 'k' } } }],
    'there is no Secret "keys" for environment variable "A"',
  ],
  [
    'a key that its ConfigMap does not have',
    [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'constructor' } } }],
    'key "constructor" not found in ConfigMap "cfg" for environment variable "A"',
  ],
])('%s is terminal, takes no member, and is asked for again when the claim is edited', async (_what, env, message) => {
  const member = await poolOfOne()
  await t.client.create(
    resources.configMaps,
    { metadata: { name: 'cfg' }, data: { k: 'v' } },
    { namespace: t.namespace },
  )
  t.running.writes.length = 0
  await claim(env)
  const failed = await untilMine((found) => readyOf(found) !== undefined)
  await t.running.controllers.idle()
  expect({ ...readyOf(failed), lastTransitionTime: '' }).toEqual({
    type: 'Ready',
    status: 'False',
    reason: 'EnvVarsInjectionRejected',
    message: `environment variable injection rejected: ${message}`,
    observedGeneration: 1,
    lastTransitionTime: '',
  })
  expect(t.running.writes).toEqual(['PATCH sandboxclaims/mine/status'])
  const edited = { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'k' } } }] }
  await t.client.patch(sandboxClaims, 'mine', { spec: edited }, { namespace: t.namespace })
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  expect(mine.status?.sandbox?.name).toBe(member)
})

test('sources that cannot be read are asked for ever more rarely, until they can be', async () => {
  const member = await poolOfOne()
  await t.client.create(
    resources.secrets,
    { metadata: { name: 'keys' }, data: { token: base64('t0ken') } },
    { namespace: t.namespace },
  )
  await t.running[Symbol.asyncDispose]()
  const { transport } = t.cluster
  const readAt: number[] = []
  const many = Promise.withResolvers<void>()
  let away = true
  const secretsAway = {
    ...transport,
    async request(asked: ApiRequest) {
      if (!away || asked.method !== 'GET' || !asked.path.endsWith('/secrets/keys'))
        return await transport.request(asked)
      readAt.push(performance.now())
      if (readAt.length === 8) many.resolve()
      throw new TransportError('lost', 'the server is away')
    },
  }
  await using running = await runControllers({ ...t.cluster, transport: secretsAway }, t.namespace)
  await claim([{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } }])
  await many.promise
  const [first = 0] = readAt
  // 5 ms after the second one, and each time twice as many.
  expect(Number(readAt[7]) - first).toBeGreaterThan(5 * (2 ** 6 - 1) - 10)
  const failed = await untilMine((found) => readyOf(found) !== undefined)
  expect(readyOf(failed)).toMatchObject({
    reason: 'ReconcilerError',
    message: 'Error seen: its sources cannot be read: the server is away',
  })
  away = false
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  expect(mine.status?.sandbox?.name).toBe(member)
  await running.controllers.idle()
})

test('what stands in the place of its Secret is left as it is', async () => {
  const member = await poolOfOne()
  const data = { A: base64('foreign') }
  await t.client.create(
    resources.secrets,
    { metadata: { name: `${member}.env.main` }, data },
    { namespace: t.namespace },
  )
  await claim([{ name: 'A', value: 'b' }])
  const failed = await untilMine((found) => readyOf(found)?.reason === 'EnvVarsInjectionRejected')
  expect(readyOf(failed)?.message).toBe(
    `environment variable injection rejected: Secret "${member}.env.main" exists and is not of this Sandbox: delete it, and claim again`,
  )
  expect(failed.status?.sandbox).toBeUndefined()
  expect((await t.client.get(resources.secrets, `${member}.env.main`, { namespace: t.namespace })).data).toEqual(data)
})

test.each<[what: string, spec: Partial<SandboxTemplate['spec']>, env: NonNullable<SandboxClaim['spec']['env']>]>([
  ['the template delivers none', { envVarsDelivery: 'ColdStart' }, [{ name: 'A', value: 'b' }]],
  ['a value refers to others', {}, [{ name: 'A', value: '$(MODE)' }]],
])('a Sandbox is made for the claim where %s', async (_what, spec, env) => {
  await poolOfOne(spec)
  await claim(env)
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  expect(mine.status?.sandbox?.name).toBe('mine')
  const sandbox = await t.client.get(SANDBOXES, 'mine', { namespace: t.namespace })
  expect(sandbox.spec.podTemplate.spec.containers[0]?.env?.at(-1)).toEqual(env[0])
  expect((await t.client.list(resources.secrets, { namespace: t.namespace })).items).toEqual([])
})

test('the policy Disallowed rejects, as it does without a pool', async () => {
  await poolOfOne({ envVarsInjectionPolicy: 'Disallowed' })
  await claim([{ name: 'A', value: 'b' }])
  const failed = await untilMine((found) => readyOf(found) !== undefined)
  expect(readyOf(failed)?.message).toBe(
    'environment variable injection rejected: environment variable injection is not allowed by the template policy',
  )
})

test.each([
  ['what the claim says', undefined],
  ['what it says by then', 'edited'],
])('a crash between the Secret and the status is gone on from: the Sandbox has %s', async (_what, edited) => {
  const member = await poolOfOne()
  await t.running[Symbol.asyncDispose]()
  const crashed = Promise.withResolvers<void>()
  let gone = false
  const lost = (): TransportError => new TransportError('lost', 'the process is gone')
  const { transport } = t.cluster
  const untilSecret = {
    ...transport,
    async request(asked: ApiRequest) {
      if (gone && asked.method !== 'GET') throw lost()
      const answer = await transport.request(asked)
      if (asked.method !== 'POST' || !asked.path.endsWith('/secrets')) return answer
      gone = true
      crashed.resolve()
      throw lost()
    },
  }
  {
    await using _doomed = await runControllers({ ...t.cluster, transport: untilSecret }, t.namespace)
    await claim([{ name: 'MODE', value: 'claim' }])
    await crashed.promise
  }
  const before = await untilMine(() => true)
  expect(before.status).toBeUndefined()
  if (edited !== undefined) {
    const env = [{ name: 'MODE', value: edited }]
    await t.client.patch(sandboxClaims, 'mine', { spec: { env } }, { namespace: t.namespace })
  }
  await t.restart()
  const mine = await untilMine((found) => readyOf(found)?.status === 'True')
  expect(mine.status?.sandbox?.name).toBe(member)
  const secret = await t.client.get(resources.secrets, `${member}.env.main`, { namespace: t.namespace })
  expect(secret.data).toEqual({ MODE: base64(edited ?? 'claim') })
  await t.running.controllers.idle()
  expect(t.running.errors).toEqual([])
})
