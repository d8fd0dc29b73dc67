import { afterEach, beforeEach, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer

beforeEach(async () => {
  server = await startServer({ resources: builtinResources() })
})

afterEach(() => server[Symbol.asyncDispose]())

async function define(plural: string, group: string, versions: string[]): Promise<void> {
  const { status, text } = await server.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    body: {
      metadata: { name: `${plural}.${group}`, annotations: { 'api-approved.kubernetes.io': 'unapproved, for a test' } },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural, kind: `K${plural}`, shortNames: [plural.slice(0, 3)] },
        versions: versions.map((name, index) => ({
          name,
          served: true,
          storage: index === 0,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object' } },
        })),
      },
    },
  })
  expect(status, text).toBe(201)
}

const get = async (path: string, accept = 'application/json') =>
  (await server.request('GET', path, { headers: { accept } })).body

test('groups come with their preferred version first, and the canonical agents group before the flat one', async () => {
  await define('claims', 'agents.x-k8s.io', ['v1alpha1'])
  await define('sandboxes', 'agents.x-k8s.io', ['v1beta1', 'v1alpha1'])
  await define('claims', 'extensions.agents.x-k8s.io', ['v1beta1'])
  await define('others', 'aaa.example.com', ['v1'])
  const { groups } = await get('/apis')
  const custom = groups
    .slice(-3)
    .map((group: { name: string; versions: { version: string }[]; preferredVersion: { version: string } }) => [
      group.name,
      group.versions.map(({ version }) => version),
      group.preferredVersion.version,
    ])
  expect(custom).toEqual([
    ['extensions.agents.x-k8s.io', ['v1beta1'], 'v1beta1'],
    ['aaa.example.com', ['v1'], 'v1'],
    ['agents.x-k8s.io', ['v1beta1', 'v1alpha1'], 'v1beta1'],
  ])
})

test('a group version lists its kinds and their subresources', async () => {
  await define('sandboxes', 'agents.x-k8s.io', ['v1beta1'])
  expect(await get('/apis/agents.x-k8s.io/v1beta1')).toEqual({
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: 'agents.x-k8s.io/v1beta1',
    resources: [
      {
        name: 'sandboxes',
        singularName: 'ksandboxes',
        namespaced: true,
        kind: 'Ksandboxes',
        verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
        shortNames: ['san'],
        storageVersionHash: expect.any(String),
      },
      {
        name: 'sandboxes/status',
        singularName: '',
        namespaced: true,
        kind: 'Ksandboxes',
        verbs: ['get', 'patch', 'update'],
      },
    ],
  })
  const pods = (await get('/api/v1')).resources.map(({ name }: { name: string }) => name)
  expect(pods.filter((name: string) => name.startsWith('pods'))).toEqual([
    'pods',
    'pods/attach',
    'pods/binding',
    'pods/ephemeralcontainers',
    'pods/eviction',
    'pods/exec',
    'pods/log',
    'pods/portforward',
    'pods/proxy',
    'pods/resize',
    'pods/status',
  ])
})

test('the aggregated form says the same in one answer', async () => {
  await define('sandboxes', 'agents.x-k8s.io', ['v1beta1'])
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'
  const { kind, apiVersion, items } = await get('/apis', accept)
  expect([kind, apiVersion]).toEqual(['APIGroupDiscoveryList', 'apidiscovery.k8s.io/v2'])
  expect(items.at(-1)).toEqual({
    metadata: { name: 'agents.x-k8s.io' },
    versions: [
      {
        version: 'v1beta1',
        freshness: 'Current',
        resources: [
          {
            resource: 'sandboxes',
            responseKind: { group: 'agents.x-k8s.io', version: 'v1beta1', kind: 'Ksandboxes' },
            scope: 'Namespaced',
            singularResource: 'ksandboxes',
            verbs: ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'],
            shortNames: ['san'],
            subresources: [
              {
                subresource: 'status',
                responseKind: { group: 'agents.x-k8s.io', version: 'v1beta1', kind: 'Ksandboxes' },
                verbs: ['get', 'patch', 'update'],
              },
            ],
          },
        ],
      },
    ],
  })
  expect((await get('/api', accept)).items[0].metadata).toEqual({})
})
