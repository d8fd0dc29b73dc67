/** A real control plane with what deploy/manifests installs but the controllers, which tests start as processes. */
import { join } from 'node:path'
import { CONTROLLER_NAMESPACE } from '../../packages/api/src/index.ts'
import {
  createInformer,
  type Resource,
  resources,
  sandboxClaims,
  sandboxes,
  sandboxSnapshots,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import {
  connectCluster,
  startTestNode,
  type TestCluster,
  until,
} from '../../packages/controllers/src/testing/test-cluster.ts'
import { type RealCluster, type RealClusterOptions, startRealCluster } from '../cluster/real-cluster.ts'
import { must, run } from './fixture.ts'

export const CAISSON = join(import.meta.dirname, '../../bin/caisson')
/** The controllers' account, which may do what deploy/manifests says and no more. */
export const ACCOUNT = `system:serviceaccount:${CONTROLLER_NAMESPACE}:agent-sandbox-controller`

const SYNCED_MS = 30_000

export interface OperatorCluster extends TestCluster {
  plane: RealCluster
}

/** @param namespace is made, and every Pod that comes to be in it is Ready at once */
export async function startOperatorCluster(
  namespace: string,
  options: Pick<RealClusterOptions, 'nodes'> = {},
): Promise<OperatorCluster> {
  await using starting = new AsyncDisposableStack()
  const plane = starting.use(await startRealCluster({ controllers: true, ...options }))
  const { client, transport } = starting.use(await connectCluster(plane.kubeconfig))
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  for (const file of ['manifest.yaml', 'extensions.yaml']) {
    const path = join(import.meta.dirname, '../../deploy/manifests', file)
    await must(run(CAISSON, ['apply', '-f', path], { env: { KUBECONFIG: plane.kubeconfig } }))
  }
  // kube-apiserver makes the storage of a kind when it is first asked for it, and lets nobody watch it meanwhile.
  for (const kind of [sandboxes, sandboxSnapshots, sandboxTemplates, sandboxClaims, sandboxWarmPools]) {
    await using informer = createInformer(client, kind as unknown as Resource)
    await informer.synced(AbortSignal.timeout(SYNCED_MS))
  }
  await until(client, resources.serviceAccounts, { namespace, name: 'default' }, Boolean)
  starting.use(await startTestNode(client, namespace))
  const started = starting.move()
  return { plane, client, transport, [Symbol.asyncDispose]: () => started[Symbol.asyncDispose]() }
}
