/** Starts what only the embedded cluster needs, each part on workqueues of its own. */
import { type Resource, resources } from '@caisson/client'
import { BY_LABEL, labelPairs, SLICES_BY_SERVICE, selectorPair, serviceOfSlice } from './endpoints/reconcile-slices.ts'
import { startEndpoints } from './endpoints/start-endpoints.ts'
import { startCollection } from './garbage/start-collection.ts'
import { startNodeControllers } from './nodes/start-node-controllers.ts'
import { createPartWiring, type PartOptions } from './part-wiring.ts'
import { startScheduler } from './scheduler/start-scheduler.ts'
import { startServiceAccounts } from './service-accounts.ts'
import { claimsOf, PODS_BY_CLAIM } from './volumes/bind.ts'
import { startEphemeralClaims } from './volumes/ephemeral-claims.ts'
import { startVolumeBinding, type VolumeProvisioner } from './volumes/start-volume-binding.ts'
import { startWorkloadsWhenNeeded } from './workloads/start-when-needed.ts'

export interface ControlPlaneOptions extends PartOptions, Pick<VolumeProvisioner, 'removeTree' | 'volumesInUse'> {
  /** Acts as the user system:kube-controller-manager, which may see and delete everything. */
  client: PartOptions['client']
  /** The cluster's CA certificate, PEM. */
  ca: string
  /** Where provisioned volumes have their directories. */
  volumesDirectory: string
  /** What nobody waits for begins when it resolves, which it must; at once unless given. */
  othersStarted?: Promise<void>
}

/** Resolves when every part has seen the cluster once and works. Disposing stops them and waits for running passes. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<AsyncDisposable> {
  const { client, informers, record, onError, signal } = options
  await using stack = new AsyncDisposableStack()
  const wiring = createPartWiring({ client, informers, record, onError, signal }, stack)
  const { now } = wiring

  informers.of(resources.pods, { indexers: { [PODS_BY_CLAIM]: claimsOf, [BY_LABEL]: labelPairs } })
  informers.of(resources.services, { indexers: { [BY_LABEL]: selectorPair } })
  informers.of(resources.endpointSlices, { indexers: { [SLICES_BY_SERVICE]: serviceOfSlice } })
  for (const resource of WATCHED) informers.of(resource)
  await informers.synced(signal)

  const { volumesDirectory: directory, removeTree, volumesInUse } = options
  startEphemeralClaims(wiring)
  startVolumeBinding(wiring, { directory, removeTree, ...(volumesInUse && { volumesInUse }) })
  startScheduler(wiring)
  startEndpoints(wiring)
  await startCollection(wiring)
  stack.use(startWorkloadsWhenNeeded({ client, informers, record, onError, now, signal }, options.othersStarted))
  stack.use(
    startNodeControllers({
      client,
      informers,
      record: (about, event) => record('node-controller', about, event),
      now,
      signal,
      onError,
    }),
  )
  startServiceAccounts(wiring, options.ca)
  return stack.move()
}

/** What else one part or another looks at. */
const WATCHED: readonly Resource[] = [
  resources.endpoints,
  resources.nodes,
  resources.leases,
  resources.podDisruptionBudgets,
  resources.namespaces,
  resources.persistentVolumeClaims,
  resources.persistentVolumes,
  resources.storageClasses,
  resources.serviceAccounts,
  resources.configMaps,
]
