/** Runs the Pods of this node, and makes and keeps the snapshots of their sandboxes. */
import { readFile } from 'node:fs/promises'
import { type PodObject, sandboxSnapshots } from '@caisson/client'
import { nodeResources } from '../node/node-object.ts'
import type { NodeParts, NodePartsOptions } from '../node/node-parts.ts'
import { readEnds } from '../node/recorded-ends.ts'
import { snapshotFinder } from '../snapshots/find-snapshot.ts'
import { startNodeSnapshots } from '../snapshots/node-snapshots.ts'
import type { SystemProcesses } from '../system/system-processes.ts'
import { createFakePods, type FakePods } from './fake-pods.ts'
import { misfit, resizeRefusal } from './node-fit.ts'
import type { Eviction } from './observed-pod.ts'
import { createPodActions } from './pod-actions.ts'
import { podRejection } from './pod-admission.ts'
import { createPodEngine, type PodEngine } from './pod-engine.ts'

export interface RunPodsOptions extends NodePartsOptions {
  /** Serve the RuntimeClass handler `fake`, whose Pods are Ready without a container. */
  fake: boolean
  /** Processes of the cluster's own that show as Pods of this node. */
  processes?: SystemProcesses
  /** How names are resolved within the cluster. */
  dns?: { clusterDomain: string; servers: readonly string[] }
  /** Directories of which hostPath volumes may be; any where it is not given. */
  hostPaths?: readonly string[] | undefined
  /** Kernel parameters that Pods may have beside the safe ones, as `sysctlPatternProblem` knows them; none unless given. */
  allowedSysctls?: readonly string[] | undefined
  /** What the snapshots of one namespace may take on the disk together; 16 GiB where it is not given. */
  snapshotBytes?: number
}

export interface RunningPods extends AsyncDisposable {
  engine: PodEngine
  fakePods: FakePods | undefined
}

/** Pods that a node takes. */
export const PODS = 1_000
const DEFAULT_DOMAIN = 'cluster.local'

export async function runPods(
  options: RunPodsOptions & { now: () => number; evictions: ReadonlyMap<string, Eviction> },
  parts: NodeParts,
): Promise<RunningPods> {
  const { client, informers, nodeName, processes, now, onError } = options
  const { directories, machine, self, pods, sources, runtime, notices } = parts
  await using stack = new AsyncDisposableStack()
  const rejection = (pod: PodObject): Eviction | undefined => podRejection(pod, options.allowedSysctls)
  const hostIp = machine.address
  const fakePods = options.fake ? createFakePods({ hostIp, rejection, now, present: pods.list() }) : undefined
  const actions = createPodActions({
    ...parts,
    network: options.network,
    findSnapshot: snapshotFinder({ informer: informers.of(sandboxSnapshots), directories, nodeName }),
    hostPaths: options.hostPaths,
    place: { hostIp, nodeName, allocatable: nodeResources({ machine, pods: PODS }) },
    dns: {
      clusterDomain: options.dns?.clusterDomain ?? DEFAULT_DOMAIN,
      clusterServers: options.dns?.servers ?? [],
      hostConfig: await readFile('/etc/resolv.conf', 'utf8').catch(() => ''),
    },
    now,
    onError,
  })
  const engine = stack.use(
    createPodEngine({
      ...parts,
      client,
      informer: pods,
      actions,
      fakePods,
      processes,
      hostIp,
      ends: await readEnds(options.dataDir),
      misfit(pod, others) {
        const node = self.get(nodeName)
        return (node && misfit(pod, node, others)) ?? sources.references.take(pod)
      },
      resizeRefusal(pod, others) {
        const node = self.get(nodeName)
        return node && resizeRefusal(pod, node, others)
      },
      rejection,
      evictions: options.evictions,
      now,
      onError,
    }),
  )
  try {
    stack.use(runtime.images.onNamed(() => engine.imagesChanged()))
  } catch (error) {
    // They look again now and then.
    onError(error, 'Pods that wait for images are not told when these come')
  }
  stack.use(
    await startNodeSnapshots({
      client,
      informers,
      runtime,
      directories,
      nodeName,
      pods,
      sources,
      ...(options.snapshotBytes !== undefined && { quotaBytes: options.snapshotBytes }),
      notices,
      sandboxIdOf: (uid) => engine.memory(uid)?.sandboxId,
      now,
      onError,
    }),
  )
  const owned = stack.move()
  return { engine, fakePods, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
