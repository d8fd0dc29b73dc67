import { ANNOTATIONS, LABELS, nameHash, type Sandbox, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { createInformers, resources, sandboxClaims } from '@caisson/client'
import { expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { CONTAINERS } from '../testing/claim-fixture.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { installCrd } from '../testing/test-cluster.ts'
import { createSandboxMetrics } from './sandbox-metrics.ts'

const namespace = 'counted'
const READY = {
  type: 'Ready',
  status: 'True',
  reason: 'DependenciesReady',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
}

test('a template is named of its own Sandboxes alone, and what else stands there is kept nowhere', async () => {
  await using cluster = await startEmbeddedCluster(apiserver)
  const { client } = cluster
  await installCrd(client, sandboxCrd())
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  await using informers = createInformers(client)
  const sandboxes = informers.of(SANDBOXES, { namespace })
  await sandboxes.synced()
  using metrics = createSandboxMetrics({ sandboxes })

  const { apiVersion, kind } = sandboxClaims
  const ownerReferences = [{ apiVersion, kind, name: 'owner', uid: 'of-the-claim', controller: true }]
  const hashed = (template: string) => ({ labels: { [LABELS.templateRefHash]: nameHash(template) } })
  const make = (name: string, template: string, metadata: Partial<Sandbox['metadata']>) =>
    client.create(
      SANDBOXES,
      {
        metadata: { name, annotations: { [ANNOTATIONS.templateRef]: template }, ...metadata },
        spec: { podTemplate: { spec: CONTAINERS } },
      },
      { namespace },
    )
  const names = ['owned', 'free', 'unlabelled', 'mislabelled', 'long']
  const huge = 'x'.repeat(200_000)
  await make('owned', 'web', { ...hashed('web'), ownerReferences })
  await make('free', huge, hashed(huge))
  await make('unlabelled', 'alone', { ownerReferences })
  await make('mislabelled', 'alone', { ...hashed('web'), ownerReferences })
  await make('long', huge, { ...hashed(huge), ownerReferences })
  await expect.poll(() => sandboxes.size).toBe(names.length)

  const counted = async (series: string) =>
    (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith(`${series}{`))
      .map((line) => line.replace(/^.*sandbox_template="([^"]{0,20})[^"]*".* (\d+)$/, '$1 $2'))
      .sort()
  // Those without a template are two lines: of nobody, and of a claim.
  expect(await counted('agent_sandboxes')).toEqual(['unknown 1', 'unknown 3', 'web 1'])

  for (const name of names)
    await client.patchStatus(SANDBOXES, name, { status: { conditions: [READY] } }, { namespace })
  await expect.poll(() => counted('agent_sandbox_creation_latency_ms_count')).toEqual(['__unknown__ 4', 'web 1'])
  for (const name of names) await client.delete(SANDBOXES, name, { namespace })
  await expect.poll(() => sandboxes.size).toBe(0)
  expect((await metrics.text()).length).toBeLessThan(50_000)
})
