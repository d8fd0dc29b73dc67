import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTemporaryServer, type WholeServer } from '../testing/whole-server.ts'

let api: WholeServer
let next = 0
const MERGE_PATCH = { 'content-type': 'application/merge-patch+json' }

beforeAll(async () => {
  api = await startTemporaryServer()
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

/** A namespace of its own, and its path. */
async function namespace(): Promise<string> {
  const name = `quota-${next++}`
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } })
  await api.request('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { body: { metadata: { name: 'default' } } })
  return `/api/v1/namespaces/${name}`
}

async function quota(path: string, name: string, spec: object): Promise<void> {
  expect((await api.request('POST', `${path}/resourcequotas`, { body: { metadata: { name }, spec } })).status).toBe(201)
  await expect.poll(() => used(path, name)).toBeDefined()
}

async function used(path: string, name: string): Promise<Record<string, string>> {
  return (await api.request('GET', `${path}/resourcequotas/${name}`)).body.status.used
}

/** The message of the refusal, or the name of what was made. */
async function make(path: string, plural: string, name: string, rest: object = {}): Promise<string> {
  const { status, body } = await api.request('POST', `${path}/${plural}`, { body: { metadata: { name }, ...rest } })
  return status === 201 ? body.metadata.name : body.message
}

function pod(requests: Record<string, string>, limits: Record<string, string> = {}, more: object = {}): object {
  const resources = { requests, limits }
  return { spec: { containers: [{ name: 'c', image: 'x', resources }], automountServiceAccountToken: false, ...more } }
}

describe('a ResourceQuota', () => {
  test('counts what comes and what goes', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { 'count/configmaps': '2', configmaps: '5', secrets: '1' } })
    expect([
      await make(path, 'configmaps', 'a'),
      await make(path, 'configmaps', 'b'),
      await make(path, 'configmaps', 'c'),
      await make(path, 'secrets', 'a'),
      await make(path, 'secrets', 'b'),
    ]).toEqual([
      'a',
      'b',
      'configmaps "c" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2',
      'a',
      'secrets "b" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1',
    ])
    expect(await used(path, 'q')).toEqual({ 'count/configmaps': '2', configmaps: '2', secrets: '1' })
    await api.request('DELETE', `${path}/configmaps/a`)
    await expect.poll(() => used(path, 'q')).toEqual({ 'count/configmaps': '1', configmaps: '1', secrets: '1' })
    expect(await make(path, 'configmaps', 'c')).toBe('c')
  })

  test('says what its spec says, whatever somebody writes into its status', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { configmaps: '5', cpu: '1' } })
    const status = async (): Promise<unknown> => (await api.request('GET', `${path}/resourcequotas/q`)).body.status
    const measured = { hard: { configmaps: '5', cpu: '1' }, used: { configmaps: '0', cpu: '0' } }
    expect(await status()).toEqual(measured)
    for (const written of [{ hard: { cpu: '2' } }, { used: { cpu: null } }, { hard: { pods: '1' } }]) {
      const body = { status: written }
      const answer = await api.request('PATCH', `${path}/resourcequotas/q/status`, { body, headers: MERGE_PATCH })
      expect(answer.body.status).not.toEqual(measured)
      await expect.poll(status).toEqual(measured)
    }
  })

  test('lets no two requests take the last of something', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { pods: '3' } })
    const made = await Promise.all(Array.from({ length: 20 }, (_, index) => make(path, 'pods', `p${index}`, pod({}))))
    expect(made.filter((said) => /^p\d+$/.test(said))).toHaveLength(3)
    expect(await used(path, 'q')).toEqual({ pods: '3' })
  })

  test('takes nothing for what is refused elsewhere, or tried out', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { configmaps: '9' } })
    await make(path, 'configmaps', 'a')
    expect(await make(path, 'configmaps', 'a')).toBe('configmaps "a" already exists')
    await api.request('POST', `${path}/configmaps?dryRun=All`, { body: { metadata: { name: 'b' } } })
    expect(await used(path, 'q')).toEqual({ configmaps: '1' })
  })

  test('adds up what Pods ask for, overhead and init containers included', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { 'requests.cpu': '1', 'limits.memory': '1Gi' } })
    expect([
      await make(path, 'pods', 'a', pod({})),
      await make(path, 'pods', 'b', pod({ cpu: '250m' }, { memory: '256Mi' })),
      await make(
        path,
        'pods',
        'c',
        pod(
          { cpu: '100m' },
          { memory: '1Mi' },
          {
            initContainers: [
              { name: 'i', image: 'x', resources: { requests: { cpu: '900m' }, limits: { memory: '1Mi' } } },
            ],
          },
        ),
      ),
    ]).toEqual([
      'pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
      'b',
      'pods "c" is forbidden: exceeded quota: q, requested: requests.cpu=900m, used: requests.cpu=250m, limited: requests.cpu=1',
    ])
    expect(await used(path, 'q')).toEqual({ 'requests.cpu': '250m', 'limits.memory': '256Mi' })
    await api.request('PATCH', `${path}/pods/b/status`, {
      body: { status: { phase: 'Succeeded' } },
      headers: MERGE_PATCH,
    })
    await expect.poll(() => used(path, 'q')).toEqual({ 'requests.cpu': '0', 'limits.memory': '0' })
  })

  test('looks at the Pods of its scopes alone', async () => {
    const path = await namespace()
    await quota(path, 'best-effort', { hard: { pods: '1' }, scopes: ['BestEffort'] })
    await quota(path, 'ending', { hard: { pods: '0' }, scopes: ['Terminating'] })
    expect([
      await make(path, 'pods', 'a', pod({ cpu: '1' })),
      await make(path, 'pods', 'b', pod({})),
      await make(path, 'pods', 'c', pod({})),
      await make(path, 'pods', 'd', pod({ cpu: '1' }, {}, { activeDeadlineSeconds: 10 })),
    ]).toEqual([
      'a',
      'b',
      'pods "c" is forbidden: exceeded quota: best-effort, requested: pods=1, used: pods=1, limited: pods=1',
      'pods "d" is forbidden: exceeded quota: ending, requested: pods=1, used: pods=0, limited: pods=0',
    ])
  })

  test('counts custom resources once their kind is there', async () => {
    const path = await namespace()
    await quota(path, 'q', { hard: { 'count/things.example.com': '1' } })
    await api.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      body: {
        metadata: { name: 'things.example.com' },
        spec: {
          group: 'example.com',
          scope: 'Namespaced',
          names: { plural: 'things', kind: 'Thing' },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
        },
      },
    })
    const things = path.replace('/api/v1', '/apis/example.com/v1')
    const thing = { apiVersion: 'example.com/v1', kind: 'Thing' }
    expect(await make(things, 'things', 'a', thing)).toBe('a')
    expect(await make(things, 'things', 'b', thing)).toBe(
      'things.example.com "b" is forbidden: exceeded quota: q, requested: count/things.example.com=1, used: count/things.example.com=1, limited: count/things.example.com=1',
    )
    await api.request('DELETE', `${things}/things/a`)
    await expect.poll(() => used(path, 'q')).toEqual({ 'count/things.example.com': '0' })
  })
})

describe('a LimitRange', () => {
  test('fills what containers leave open, and says so', async () => {
    const path = await namespace()
    await make(path, 'limitranges', 'l', {
      spec: {
        limits: [
          { type: 'Container', max: { memory: '1Gi' }, default: { cpu: '500m' }, defaultRequest: { cpu: '100m' } },
        ],
      },
    })
    const { body } = await api.request('POST', `${path}/pods`, {
      body: { metadata: { name: 'p' }, ...pod({ cpu: '200m' }) },
    })
    expect([body.spec.containers[0].resources, body.metadata.annotations]).toEqual([
      { limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: '200m', memory: '1Gi' } },
      {
        'kubernetes.io/limit-ranger':
          'LimitRanger plugin set: memory request for container c; cpu, memory limit for container c',
      },
    ])
  })

  test('refuses what is out of its bounds', async () => {
    const path = await namespace()
    await make(path, 'limitranges', 'l', {
      spec: {
        limits: [
          { type: 'Container', max: { cpu: '2' }, min: { cpu: '50m' }, maxLimitRequestRatio: { cpu: '4' } },
          { type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '5Gi' } },
        ],
      },
    })
    const claim = (storage: string): object => ({
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    })
    expect([
      await make(path, 'pods', 'a', pod({ cpu: '10m' }, { cpu: '3' })),
      await make(path, 'persistentvolumeclaims', 'a', claim('1Mi')),
      await make(path, 'persistentvolumeclaims', 'b', claim('10Gi')),
      await make(path, 'persistentvolumeclaims', 'c', claim('2Gi')),
    ]).toEqual([
      'pods "a" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage per Container is 2, but limit is 3, cpu max limit to request ratio per Container is 4, but provided ratio is 300.000000]',
      'persistentvolumeclaims "a" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi',
      'persistentvolumeclaims "b" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 10Gi',
      'c',
    ])
  })
})

test('a resize is held to both, and counts what it adds', async () => {
  const path = await namespace()
  await quota(path, 'q', { hard: { 'requests.cpu': '1' } })
  await make(path, 'limitranges', 'l', { spec: { limits: [{ type: 'Container', max: { memory: '1Gi' } }] } })
  await make(path, 'pods', 'p', pod({ cpu: '200m', memory: '64Mi' }, { memory: '64Mi' }))
  const resize = async (resources: object): Promise<string> => {
    const { status, body } = await api.request('PATCH', `${path}/pods/p/resize`, {
      body: { spec: { containers: [{ name: 'c', resources }] } },
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    })
    return status === 200 ? ((await used(path, 'q'))['requests.cpu'] ?? '') : body.message
  }
  expect([
    await resize({ requests: { cpu: '900m' } }),
    await resize({ requests: { cpu: '1100m' } }),
    await resize({ limits: { memory: '2Gi' } }),
  ]).toEqual([
    '900m',
    'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=200m, used: requests.cpu=900m, limited: requests.cpu=1',
    'pods "p" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
  ])
  // What it gives back is counted a moment later.
  await resize({ requests: { cpu: '300m' } })
  await expect.poll(() => used(path, 'q')).toEqual({ 'requests.cpu': '300m' })
})
