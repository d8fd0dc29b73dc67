import * as apiserver from '@caisson/apiserver'
import { type Client, isAlreadyExists, resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { isReady, reasonIs, useClaims } from '../testing/claim-fixture.ts'
import { startTestNode } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)
const namespace = 'agent-sandbox-system'
const name = 'agent-sandbox-config'

async function configure(client: Client, domains: string): Promise<void> {
  await client.create(resources.namespaces, { metadata: { name: namespace } }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error
  })
  await client.create(
    resources.configMaps,
    { metadata: { name }, data: { 'allowed-label-domains': domains } },
    { namespace },
  )
}

test('the administrator says which label domains claims may use, and claims that were refused get their Sandbox', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await t.createTemplate()
  const labelled = (key: string) => ({
    templateRef: { name: 'web' },
    additionalPodMetadata: { labels: { [key]: 'a' } },
  })
  await t.createClaim('mine', labelled('team.example.com/name'))
  await t.untilClaim('mine', reasonIs('InvalidMetadata'))
  await configure(t.client, 'example.com,\nexample.org')
  await t.untilClaim('mine', isReady)
  // They stand in place of the usual one.
  await t.createClaim('usual', labelled('sandbox.users.io/name'))
  await t.untilClaim('usual', reasonIs('InvalidMetadata'))
  // Known from the first claim on.
  await t.restart()
  await t.createClaim('next', labelled('example.org/name'))
  await t.untilClaim('next', isReady)
  await t.client.delete(resources.configMaps, name, { namespace })
  await t.untilClaim('usual', isReady)
  expect(t.running.errors).toEqual([])
})
