import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { builtinResources } from '../../registry/builtin/index.ts'
import { type RunningServer, startServer } from '../../testing/running-server.ts'
import { answerBinding, BINDING_KIND } from './pod-binding.ts'

const PATH = '/api/v1/namespaces/default/pods/web'

let server: RunningServer

beforeEach(async () => {
  server = await startServer({
    resources: [...builtinResources(), BINDING_KIND],
    virtual: { bindings: answerBinding },
  })
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
  const { status, text } = await server.request('POST', '/api/v1/namespaces/default/pods', {
    body: { metadata: { name: 'web' }, spec: { containers: [{ name: 'main', image: 'x' }] } },
  })
  expect(status, text).toBe(201)
})

afterEach(() => server[Symbol.asyncDispose]())

const get = async () => (await server.request('GET', PATH)).body
const post = (path: string, body: object) => server.request('POST', path, { body })
const merge = (path: string, body: object) =>
  server.request('PATCH', path, { body, headers: { 'content-type': 'application/strategic-merge-patch+json' } })

test('a binding puts a Pod on a node, once', async () => {
  const binding = { metadata: { name: 'web', annotations: { why: 'free' } }, target: { kind: 'Node', name: 'here' } }
  const { status, body } = await post(`${PATH}/binding`, binding)
  expect([status, body]).toEqual([
    201,
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
  ])
  const pod = await get()
  expect([pod.spec.nodeName, pod.metadata.annotations, pod.status.conditions]).toEqual([
    'here',
    { why: 'free' },
    [{ type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: expect.any(String) }],
  ])
  const again = await post(`${PATH}/binding`, binding)
  expect([again.status, again.body.message]).toEqual([
    409,
    'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "here"',
  ])
})

describe('what AppArmor confines a Pod by, and that it is a mirror, stays as it was made', () => {
  const APP_ARMOR = 'container.apparmor.security.beta.kubernetes.io/main'
  const MIRROR = 'kubernetes.io/config.mirror'
  const added = { [APP_ARMOR]: 'unconfined', [MIRROR]: 'x' }
  const spec = { nodeName: 'here', containers: [{ name: 'main', image: 'x' }] }
  const forbids = (annotation: string, said: string) => ({
    reason: 'FieldValueForbidden',
    message: `Forbidden: ${said}`,
    field: `metadata.annotations[${annotation}]`,
  })

  test.each(['', '/status', '/binding'])('at pods%s', async (door) => {
    const answer =
      door === '/binding'
        ? await post(PATH + door, { metadata: { name: 'web', annotations: added }, target: { name: 'here' } })
        : await merge(PATH + door, { metadata: { annotations: added } })
    expect([answer.status, answer.body.details?.causes]).toEqual([
      422,
      expect.arrayContaining([
        forbids(APP_ARMOR, 'may not add AppArmor annotations'),
        forbids(MIRROR, 'may not add mirror pod annotation'),
      ]),
    ])
    expect((await get()).metadata.annotations).toBeUndefined()
  })

  test('at pods/ephemeralcontainers, which changes nothing else', async () => {
    const ephemeralContainers = [{ name: 'debug', image: 'x' }]
    const { status } = await merge(`${PATH}/ephemeralcontainers`, {
      metadata: { annotations: added, labels: { a: 'b' } },
      spec: { ephemeralContainers },
    })
    const { metadata, spec } = await get()
    expect([status, metadata.annotations, metadata.labels, spec.ephemeralContainers]).toEqual([
      200,
      undefined,
      undefined,
      [expect.objectContaining(ephemeralContainers[0] ?? {})],
    ])
  })

  test('where it has been', async () => {
    const pods = '/api/v1/namespaces/default/pods'
    expect((await post(pods, { metadata: { name: 'other', annotations: added }, spec })).status).toBe(201)
    const { status, body } = await merge(`${pods}/other`, {
      metadata: { annotations: { [APP_ARMOR]: 'runtime/default', [MIRROR]: null } },
    })
    expect([status, body.details.causes]).toEqual([
      422,
      [
        forbids(APP_ARMOR, 'may not remove or update AppArmor annotations'),
        forbids(MIRROR, 'may not remove or update mirror pod annotation'),
      ],
    ])
  })
})

test('a Binding that is posted as such names its Pod itself', async () => {
  const bindings = '/api/v1/namespaces/default/bindings'
  const answers = []
  for (const metadata of [{ name: 'nobody' }, {}, { name: 'web' }, { name: 'web' }]) {
    const { status, body } = await post(bindings, { metadata, target: { kind: 'Node', name: 'here' } })
    answers.push([status, body.message])
  }
  expect(answers).toEqual([
    [404, 'pods "nobody" not found'],
    [400, 'Name parameter required.'],
    [201, undefined],
    [409, 'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "here"'],
  ])
  expect((await get()).spec.nodeName).toBe('here')
})

test.each<[name: string, body: object, expected: string]>([
  [
    'another name',
    { metadata: { name: 'x' }, target: { name: 'n' } },
    '400 name in URL does not match name in Binding object',
  ],
  ['no target', { metadata: { name: 'web' }, target: {} }, '500 target.name: Required value'],
  [
    'a target that is no node',
    { metadata: { name: 'web' }, target: { kind: 'Pod', name: 'n' } },
    '500 target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"',
  ],
])('a binding with %s is refused', async (_name, body, expected) => {
  const answer = await post(`${PATH}/binding`, body)
  expect(`${answer.status} ${answer.body.message}`).toBe(expected)
})

test('an eviction deletes as asked', async () => {
  await post(`${PATH}/binding`, { metadata: { name: 'web' }, target: { name: 'here' } })
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'web' } }
  const dry = await post(`${PATH}/eviction`, { ...eviction, deleteOptions: { dryRun: ['All'] } })
  expect([dry.status, (await get()).metadata.deletionTimestamp]).toEqual([201, undefined])
  const { status } = await post(`${PATH}/eviction`, { ...eviction, deleteOptions: { gracePeriodSeconds: 7 } })
  expect([status, (await get()).metadata.deletionGracePeriodSeconds]).toEqual([201, 7])
})

test('a deletion gives a Pod on a node its time, which can only get shorter', async () => {
  await post(`${PATH}/binding`, { metadata: { name: 'web' }, target: { name: 'here' } })
  const remove = async (gracePeriodSeconds?: number) =>
    (await server.request('DELETE', PATH, { body: gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds } }))
      .body
  const { metadata } = await remove()
  expect([metadata.deletionGracePeriodSeconds, metadata.generation]).toEqual([30, 2])
  expect((await remove(60)).metadata.resourceVersion).toBe(metadata.resourceVersion)
  expect((await remove(5)).metadata.deletionGracePeriodSeconds).toBe(5)
  // What the kubelet sends once the containers have gone.
  expect((await remove(0)).kind).toBe('Pod')
  expect((await server.request('GET', PATH)).status).toBe(404)
})

test('ephemeral containers come through their own door, and nothing else does', async () => {
  const ephemeral = { name: 'debug', image: 'y' }
  const { status, body } = await merge(`${PATH}/ephemeralcontainers`, {
    metadata: { labels: { a: 'b' } },
    spec: { ephemeralContainers: [ephemeral], hostname: 'changed' },
  })
  expect([status, body.spec.ephemeralContainers?.[0].name, body.spec.hostname]).toEqual([200, 'debug', undefined])
  for (const ephemeralContainers of [[{ name: 'debug', image: 'z' }], null]) {
    const refused = await merge(`${PATH}/ephemeralcontainers`, { spec: { ephemeralContainers } })
    expect(refused.status).toBe(422)
  }
})

describe('resize', () => {
  const POD = '/api/v1/namespaces/default/pods/sized'
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } }
  beforeEach(async () => {
    const spec = { containers: [{ name: 'main', image: 'x', resources }] }
    const { status } = await post('/api/v1/namespaces/default/pods', { metadata: { name: 'sized' }, spec })
    expect(status).toBe(201)
  })
  const resize = (fields: object, rest: object = {}) =>
    merge(`${POD}/resize`, { spec: { containers: [{ name: 'main', ...fields }], ...rest } })

  test('changes processors and memory, raises the generation, and nothing else comes through', async () => {
    const { status, body } = await merge(`${POD}/resize`, {
      metadata: { labels: { a: 'b' } },
      spec: {
        hostname: 'changed',
        containers: [{ name: 'main', image: 'y', resources: { limits: { memory: '1Gi' } } }],
      },
    })
    expect([status, body.metadata.generation, body.metadata.labels, body.spec.hostname]).toEqual([
      200,
      2,
      undefined,
      undefined,
    ])
    expect(body.spec.containers).toMatchObject([
      { image: 'x', resources: { requests: resources.requests, limits: { memory: '1Gi' } } },
    ])
    expect((await server.request('GET', `${POD}/resize`)).body.spec).toEqual(body.spec)
    // The Pod's own door stays shut.
    const own = await merge(POD, { spec: { containers: [{ name: 'main', resources: { requests: { cpu: '1' } } }] } })
    expect(own.status).toBe(422)
  })

  test.each<[what: string, fields: object, said: string]>([
    [
      'a request above its limit',
      { resources: { requests: { memory: '256Mi' } } },
      'spec.containers[0].resources.requests: Invalid value: "256Mi": must be less than or equal to memory limit of 128Mi',
    ],
    [
      'another quality of service',
      { resources: { requests: { cpu: '1', memory: '128Mi' }, limits: { cpu: '1' } } },
      'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
    ],
    [
      'a limit that is taken away',
      { resources: { limits: { memory: null, cpu: '1' } } },
      'spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed',
    ],
    [
      'other resources',
      { resources: { limits: { 'ephemeral-storage': '1Gi' } } },
      'spec: Forbidden: only cpu and memory resources are mutable',
    ],
    [
      'another policy',
      { resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] },
      'spec: Forbidden: only cpu and memory resources are mutable',
    ],
  ])('refuses %s', async (_what, fields, said) => {
    const { status, body } = await resize(fields)
    expect([status, body.message]).toEqual([422, `Pod "sized" is invalid: ${said}`])
  })

  test('refuses containers that come', async () => {
    const { status, body } = await merge(`${POD}/resize`, { spec: { containers: [{ name: 'more', image: 'x' }] } })
    expect([status, body.message]).toEqual([
      422,
      'Pod "sized" is invalid: spec.containers: Forbidden: containers may not be added or removed on resize',
    ])
  })

  test('refuses that all go, and a Pod with resources of its own', async () => {
    const none = await server.request('PATCH', `${POD}/resize`, {
      body: { spec: { containers: [] } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    expect([none.status, none.body.message]).toEqual([
      422,
      'Pod "sized" is invalid: [spec.containers: Required value, spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing, spec.containers: Forbidden: containers may not be added or removed on resize]',
    ])
    const spec = { containers: [{ name: 'main', image: 'x' }], resources: { limits: { cpu: '2', memory: '1Gi' } } }
    await post('/api/v1/namespaces/default/pods', { metadata: { name: 'whole' }, spec })
    const change = { spec: { containers: [{ name: 'main', resources: { limits: { cpu: '1' } } }] } }
    const whole = await merge(`${POD.replace('sized', 'whole')}/resize`, change)
    expect([whole.status, whole.body.message]).toEqual([
      422,
      'Pod "whole" is invalid: []: Forbidden: pods with pod-level resources cannot be resized',
    ])
  })

  test('refuses a Pod whose node says nothing of resources', async () => {
    const running = { name: 'main', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running: {} } }
    const told = await merge(`${POD}/status`, { status: { phase: 'Running', containerStatuses: [running] } })
    expect(told.status).toBe(200)
    const { body } = await resize({ resources: { requests: { cpu: '200m' } } })
    expect(body.message).toBe('Pod "sized" is invalid: spec: Forbidden: Pod running on node without support for resize')
  })
})

test('the status has a door of its own, which leaves the rest alone', async () => {
  const { status, body } = await merge(`${PATH}/status`, { spec: { hostname: 'x' }, status: { phase: 'Running' } })
  expect([status, body.status.phase, body.spec.hostname]).toEqual([200, 'Running', undefined])
  const other = await merge(PATH, { status: { phase: 'Failed' } })
  expect(other.body.status.phase).toBe('Running')
})

test.each<[what: string, resources: unknown, printed: string, said: string]>([
  [
    'an amount',
    { limits: { cpu: 'much' } },
    'map[limits:map[cpu:much]]',
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  ],
  ['a list for amounts', { limits: ['1'] }, 'map[limits:[1]]', 'cannot restore map from slice'],
])('a strategic merge patch with %s that is none is refused in the words of its conversion alone', async (...row) => {
  const [, resources, printed, said] = row
  const { body } = await merge(PATH, { spec: { containers: [{ name: 'main', resources }] } })
  expect(body.message).toBe(
    ` "" is invalid: patch: Invalid value: "map[spec:map[containers:[map[name:main resources:${printed}]]]]": ${said}`,
  )
})
