import * as apiserver from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const label = { path: 'label', fieldRef: { fieldPath: "metadata.labels['colour']" } }
const annotation = { path: 'annotation', fieldRef: { fieldPath: "metadata.annotations['note']" } }

test.each([
  { kind: 'downward', volume: { downwardAPI: { items: [label, annotation] } } },
  { kind: 'projected', volume: { projected: { sources: [{ downwardAPI: { items: [label, annotation] } }] } } },
])('a running container sees in a $kind volume how labels and annotations change', async ({ kind, volume }) => {
  const watch =
    'while :; do now=$(cat /pod/label /pod/annotation); [ "$now" = "$last" ] || echo $now; last=$now; sleep 0.1; done'
  const container = { name: 'main', image: 'caisson.dev/host', command: ['bash', '-c', watch] }
  await node.create(
    kind,
    {
      volumes: [{ name: 'pod', ...volume }],
      containers: [{ ...container, volumeMounts: [{ name: 'pod', mountPath: '/pod' }] }],
    },
    { labels: { colour: 'green' }, annotations: { note: '-one' } },
  )
  const told = async () => (await node.log(kind)).split('\n').filter(Boolean)
  await expect.poll(told, { timeout: 20_000 }).toEqual(['green-one'])
  const change = (metadata: object) => node.client.patch(resources.pods, kind, { metadata }, { namespace: 'default' })
  await change({ labels: { colour: 'blue' } })
  await expect.poll(told, { timeout: 20_000 }).toEqual(['green-one', 'blue-one'])
  await change({ annotations: { note: '-two' } })
  await expect.poll(told, { timeout: 20_000 }).toEqual(['green-one', 'blue-one', 'blue-two'])
})
