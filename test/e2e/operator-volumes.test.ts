/** What becomes of claims and volumes by Kubernetes' own controller: the same as by ours, whose test plays the same scenarios. */
import { type Client, createClient, createHttpTransport, findConnection, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bindingScenarios, outcomeOf, playScenario } from '../../packages/controlplane/src/testing/binding-scenarios.ts'
import { startRealCluster } from '../cluster/real-cluster.ts'

const stack = new AsyncDisposableStack()
let client: Client
beforeAll(async () => {
  const cluster = stack.use(await startRealCluster({ controllers: ['persistentvolume-binder-controller'] }))
  client = createClient(stack.use(createHttpTransport(await findConnection({ kubeconfig: cluster.kubeconfig }))))
})
afterAll(() => stack.disposeAsync())

async function eventsOf(claim: string): Promise<string[]> {
  const { items } = await client.list(resources.events, { namespace: 'default' })
  return items
    .filter(({ involvedObject }) => involvedObject.name === claim)
    .map(({ reason, message }) => `${reason}: ${message}`)
}

test.each(bindingScenarios)('$title', async (scenario) => {
  await playScenario(client, scenario)
  await expect.poll(() => outcomeOf(client, scenario, eventsOf)).toEqual(scenario.expected)
})
