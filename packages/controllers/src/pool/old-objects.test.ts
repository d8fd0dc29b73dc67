import { poolCrd, type SandboxWarmPool } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { sandboxWarmPools } from '@caisson/client'
import { test } from 'vitest'
import { useClaims } from '../testing/claim-fixture.ts'
import { installCrd, startTestNode } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

/** As one that older versions of the kind let in. */
function laxCrd(): ReturnType<typeof poolCrd> {
  const crd = structuredClone(poolCrd())
  const spec = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } as object
  for (const { schema } of crd.spec.versions) schema.openAPIV3Schema = { type: 'object', properties: { spec } }
  return crd
}

test('a pool that was stored without a template keeps no other pool from having its members', async () => {
  await using _node = await startTestNode(t.client, t.namespace)
  await installCrd(t.client, laxCrd())
  const spec = {} as SandboxWarmPool['spec']
  await t.client.create(sandboxWarmPools, { metadata: { name: 'odd' }, spec }, { namespace: t.namespace })
  await installCrd(t.client, poolCrd())
  await t.restart()
  await t.createTemplate()
  await t.createPool(2)
  await t.filledPool(2)
})
