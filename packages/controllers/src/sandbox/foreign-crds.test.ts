import { type CustomResourceDefinition, findCondition, type Sandbox, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { errorFromAnswer, isNotFound, resources, TransportError } from '@caisson/client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import {
  CRDS,
  installCrd,
  OLD_SANDBOXES,
  podBecomes,
  READY_STATUS,
  type RunningControllers,
  runControllers,
  sandboxNamed,
  type TestCluster,
  until,
} from '../testing/test-cluster.ts'
import { createNamespace, namespaceName } from '../testing/test-namespace.ts'
import { PODS, SANDBOXES } from './objects.ts'

let namespace: string
let at: { namespace: string; name: string }
const ready = (sandbox: Sandbox | undefined) => findCondition(sandbox?.status?.conditions, 'Ready')

let cluster: TestCluster
let running: RunningControllers

beforeEach(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  namespace = namespaceName()
  at = { namespace, name: 'box' }
  await createNamespace(cluster.client, namespace)
})
afterEach(async () => {
  await running[Symbol.asyncDispose]()
  await cluster.client.delete(resources.namespaces, namespace)
  await replaceCrd(sandboxCrd())
  await cluster[Symbol.asyncDispose]()
})

/** Where one is there it would be another version of it: what that has stored goes too. */
async function replaceCrd(crd: CustomResourceDefinition): Promise<void> {
  const name = crd.metadata.name ?? ''
  await cluster.client.delete(CRDS, name).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
  })
  await until(cluster.client, CRDS, { name }, (found) => found === undefined)
  await installCrd(cluster.client, crd)
}

async function start(crd: CustomResourceDefinition, transport = cluster.transport): Promise<void> {
  await replaceCrd(crd)
  running = await runControllers({ ...cluster, transport }, namespace)
}

/** The small kind of CRD that other projects bundle: v1alpha1 alone, any spec, a status that says the least. */
function minimalCrd(): CustomResourceDefinition {
  const { conditions, ...rest } =
    sandboxCrd().spec.versions[0]?.schema.openAPIV3Schema.properties?.['status']?.properties ?? {}
  const { selector, service, serviceFQDN, replicas } = rest
  const crd = structuredClone(sandboxCrd())
  const [version] = crd.spec.versions
  if (!version || !conditions || !selector || !service || !serviceFQDN || !replicas)
    throw new Error('the CRD has changed')
  return {
    ...crd,
    spec: {
      ...crd.spec,
      versions: [
        {
          ...version,
          name: 'v1alpha1',
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } as object,
                status: { type: 'object', properties: { conditions, selector, service, serviceFQDN, replicas } },
              },
            },
          },
        },
      ],
    },
  }
}

describe('a cluster that serves v1alpha1 alone, with hardly a schema', () => {
  test('has Sandboxes all the same, and a word about what it cannot store', async () => {
    await start(minimalCrd())
    const sandbox = { ...sandboxNamed('box'), apiVersion: OLD_SANDBOXES.apiVersion }
    await cluster.client.create(OLD_SANDBOXES, sandbox, { namespace })
    await podBecomes(cluster.client, at, READY_STATUS)
    await until(cluster.client, OLD_SANDBOXES, at, (s) => ready(s)?.status === 'True')
    const pod = await cluster.client.get(PODS, 'box', { namespace })
    expect(pod.metadata.ownerReferences).toMatchObject([{ apiVersion: 'agents.x-k8s.io/v1alpha1', kind: 'Sandbox' }])
    await running.controllers.idle()
    expect(running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status'])
    expect(running.events.map(({ reason }) => reason)).toEqual(['SandboxPodCreated', 'SandboxReady', 'FieldNotStored'])
    await cluster.client.patch(OLD_SANDBOXES, 'box', { spec: { replicas: 0 } }, { namespace })
    await until(
      cluster.client,
      PODS,
      at,
      (found) => found === undefined || found.metadata.deletionTimestamp !== undefined,
    )
  })

  test.each([
    ['was away', new TransportError('lost', 'the server begins anew')],
    ['had too much to do', errorFromAnswer(429, undefined)],
  ])('is asked again what it serves where it %s at first', async (_why, failure) => {
    let away = 2
    await start(minimalCrd(), {
      ...cluster.transport,
      async request(asked) {
        if (asked.path === '/apis/agents.x-k8s.io' && away-- > 0) throw failure
        return await cluster.transport.request(asked)
      },
    })
    const sandbox = { ...sandboxNamed('box'), apiVersion: OLD_SANDBOXES.apiVersion }
    await cluster.client.create(OLD_SANDBOXES, sandbox, { namespace })
    await until(cluster.client, PODS, at, (pod) => pod !== undefined)
  })

  test.each([
    ['empty', {}, 'spec.podTemplate: Required value'],
    ['a number', { podTemplate: 7 }, 'spec.podTemplate: Invalid value: must be of type object, is number'],
  ])('says what is wrong with a spec that is %s, and stays calm', async (_name, spec, message) => {
    await start(minimalCrd())
    const sandbox = {
      ...sandboxNamed('box'),
      apiVersion: OLD_SANDBOXES.apiVersion,
      spec: spec as unknown as Sandbox['spec'],
    }
    await cluster.client.create(OLD_SANDBOXES, sandbox, { namespace })
    const told = await until(cluster.client, OLD_SANDBOXES, at, (s) => ready(s) !== undefined)
    expect(ready(told)).toMatchObject({ reason: 'InvalidConfiguration', message })
    await running.controllers.idle()
    expect(running.writes).toEqual(['PATCH sandboxes/box/status'])
    expect(running.errors).toEqual([])
  })
})

describe('a cluster whose CRD has no status subresource', () => {
  test('gets the status in the object itself, and no loop over the generation that this raises', async () => {
    const crd = structuredClone(sandboxCrd())
    for (const version of crd.spec.versions) delete (version as { subresources?: object }).subresources
    await start(crd)
    await cluster.client.create(SANDBOXES, sandboxNamed('box'), { namespace })
    await podBecomes(cluster.client, at, READY_STATUS)
    const sandbox = await until(cluster.client, SANDBOXES, at, (s) => ready(s)?.status === 'True')
    await running.controllers.idle()
    expect(running.writes).toEqual(['POST pods', 'PATCH sandboxes/box/status', 'PATCH sandboxes/box'])
    expect(sandbox.status?.podIPs).toEqual(['10.1.2.3'])
    expect(running.errors).toEqual([])

    // Until somebody installs the right one.
    await installCrd(cluster.client)
    for (const operatingMode of ['Suspended', 'Running', 'Suspended'] as const) {
      await cluster.client.patch(SANDBOXES, 'box', { spec: { operatingMode } }, { namespace })
      await until(cluster.client, PODS, at, (pod) => (pod === undefined) === (operatingMode === 'Suspended'))
    }
    await until(cluster.client, SANDBOXES, at, (s) => ready(s)?.reason === 'SandboxSuspended')
  })
})

describe('a cluster whose CRD refuses the status', () => {
  test('is told once', async () => {
    const crd = structuredClone(sandboxCrd())
    for (const { schema } of crd.spec.versions) {
      const fields = schema.openAPIV3Schema.properties?.['status']?.properties as Record<string, object>
      fields['podIPs'] = { type: 'string' }
    }
    await start(crd)
    await cluster.client.create(SANDBOXES, sandboxNamed('box'), { namespace })
    await podBecomes(cluster.client, at, READY_STATUS)
    await cluster.client.patch(SANDBOXES, 'box', { metadata: { labels: { touched: 'yes' } } }, { namespace })
    await until(cluster.client, SANDBOXES, at, (s) => s?.metadata.labels?.['touched'] === 'yes')
    await running.controllers.idle()
    expect(running.writes.filter((write) => write.startsWith('PATCH')).length).toBeLessThanOrEqual(2)
    expect(running.events.filter(({ reason }) => reason === 'StatusRefused')).toHaveLength(1)
    expect(running.errors).toEqual([])
  })
})
