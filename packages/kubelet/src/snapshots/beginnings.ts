/** What Pods begin with that come from a snapshot: its memory, and what their volumes then held. */
import type { PodObject } from '@caisson/client'
import type { SandboxSpec } from '@caisson/runtime'
import { ConfigError } from '../containers/config-error.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { ephemeralContainers } from '../pods/observed-pod.ts'
import type { PodWork, WorkStates } from '../pods/pod-work.ts'
import type { FindSnapshot, FoundSnapshot } from './find-snapshot.ts'
import { snapshotNameOf } from './snapshot-source.ts'
import { ownVolumes, restoreVolumes } from './snapshot-volumes.ts'

interface BeginningsOptions {
  sources: PodSources
  directories: PodDirectories
  findSnapshot: FindSnapshot
  work: PodWork
}

export interface Beginnings {
  /** For the sandbox of one container. That there is no such snapshot is said when the container is to be started. */
  toCome(pod: PodObject): Pick<SandboxSpec, 'snapshot'>
  /**
   * For a sandbox of several containers, which is made for what they begin with: its volumes are there before the first
   * of them. Throws a ConfigError where there is no such snapshot, and a WorkGoesOn while they are filled.
   */
  ofShared(pod: PodObject, states: WorkStates): Promise<Pick<SandboxSpec, 'snapshot'>>
  /**
   * What a run of the Pod's container begins with: nothing where it comes after another one, or the snapshot cannot have
   * the container, since it was put beside those of the Pod later. Throws as `ofShared` does.
   */
  first(pod: PodObject, run: { container: string; restartCount: number }): FoundSnapshot | undefined
  /** Throws a WorkGoesOn until it was done. */
  fillVolumes(pod: PodObject, snapshot: FoundSnapshot, states: WorkStates): Promise<void>
}

export function createBeginnings({ sources, directories, findSnapshot, work }: BeginningsOptions): Beginnings {
  function find(pod: PodObject): FoundSnapshot | string | undefined {
    const name = snapshotNameOf(pod)
    return name === undefined ? undefined : findSnapshot(pod.metadata.namespace ?? '', name)
  }

  function toCome(pod: PodObject): Pick<SandboxSpec, 'snapshot'> {
    const found = find(pod)
    return typeof found === 'object' ? { snapshot: found.memory } : {}
  }

  async function ofShared(pod: PodObject, states: WorkStates): Promise<Pick<SandboxSpec, 'snapshot'>> {
    const snapshot = requireFound(pod)
    if (!snapshot) return {}
    await fillVolumes(pod, snapshot, states)
    return { snapshot: snapshot.memory }
  }

  const first: Beginnings['first'] = (pod, { container, restartCount }) => {
    const isLater = ephemeralContainers(pod).some(({ name }) => name === container)
    return restartCount > 0 || isLater ? undefined : requireFound(pod)
  }

  function requireFound(pod: PodObject): FoundSnapshot | undefined {
    const found = find(pod)
    if (typeof found === 'string') throw new ConfigError(found)
    return found
  }

  async function fillVolumes(pod: PodObject, { volumes }: FoundSnapshot, states: WorkStates): Promise<void> {
    const own = await ownVolumes(pod, { directories, sources })
    await work.require({
      pod,
      states,
      name: 'what its volumes held',
      work: (signal) => restoreVolumes(own, { source: volumes, programs: directories.programs, signal }),
    })
  }

  return { toCome, ofShared, first, fillVolumes }
}
