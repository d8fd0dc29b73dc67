/** What Pods begin with that come from a snapshot: its memory, and what their volumes then held. */
import { isDeepStrictEqual } from 'node:util'
import type { PodObject } from '@caisson/client'
import { HOST_IMAGE, type Image, normalizeReference, type Runtime, type SandboxSpec } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { ConfigError } from '../containers/config-error.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { ephemeralContainers, specOf } from '../pods/observed-pod.ts'
import type { PodWork, WorkStates } from '../pods/pod-work.ts'
import type { FindSnapshot, FoundSnapshot } from './find-snapshot.ts'
import { snapshotNameOf } from './snapshot-source.ts'
import { ownVolumes, restoreVolumes } from './snapshot-volumes.ts'

interface BeginningsOptions {
  runtime: Pick<Runtime, 'readSnapshot' | 'images'>
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
   * of them. Throws a ConfigError where there is no such snapshot, or it is of other containers, and a WorkGoesOn while they
   * are filled.
   */
  ofShared(pod: PodObject, states: WorkStates): Promise<Pick<SandboxSpec, 'snapshot'>>
  /**
   * What a run of the Pod's container begins with: nothing where it comes after another one, or the snapshot cannot have
   * the container, since it was put beside those of the Pod later. Throws as `ofShared` does.
   */
  first(pod: PodObject, run: { container: string; restartCount: number }): FoundSnapshot | undefined
  /**
   * What its processes ran on, for a container of the image of that name: the name may have moved on to another one, on
   * which they could not. Undefined where it is not here, or such a run begins with no snapshot.
   */
  image(pod: PodObject, container: Container, restartCount: number): Promise<Image | undefined>
  /** Throws a WorkGoesOn until it was done. */
  fillVolumes(pod: PodObject, snapshot: FoundSnapshot, states: WorkStates): Promise<void>
}

export function createBeginnings({ runtime, sources, directories, findSnapshot, work }: BeginningsOptions): Beginnings {
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
    await requireAll(pod, snapshot)
    await fillVolumes(pod, snapshot, states)
    return { snapshot: snapshot.memory }
  }

  /** Those that are in both would go on without the others, and their snapshot go. */
  async function requireAll(pod: PodObject, { memory }: FoundSnapshot): Promise<void> {
    const { images } = await runtime.readSnapshot(memory)
    const kept = images.map(({ container }) => container ?? 'one without a name')
    const wanted = specOf(pod).containers.map(({ name }) => name)
    // One of an earlier version does not say it.
    if (kept.length === 0 || isDeepStrictEqual(new Set(kept), new Set(wanted))) return
    throw new ConfigError(
      `the snapshot was made of a sandbox with the containers ${kept.join(', ')}, the Pod has ${wanted.join(', ')}: they must be the same`,
    )
  }

  function isFirst(pod: PodObject, container: string, restartCount: number): boolean {
    return restartCount === 0 && ephemeralContainers(pod).every(({ name }) => name !== container)
  }

  const first: Beginnings['first'] = (pod, { container, restartCount }) =>
    isFirst(pod, container, restartCount) ? requireFound(pod) : undefined

  async function image(pod: PodObject, container: Container, restartCount: number): Promise<Image | undefined> {
    const found = isFirst(pod, container.name, restartCount) ? find(pod) : undefined
    if (typeof found !== 'object') return undefined
    // What is wrong with it is said when it is to be restored.
    const snapshot = await runtime.readSnapshot(found.memory).catch(() => undefined)
    const kept = snapshot?.images.find((each) => each.container === undefined || each.container === container.name)
    // The view of the machine is for those alone who may have it.
    if (!kept || kept.name === HOST_IMAGE || kept.name !== normalizeReference(container.image ?? '')) return undefined
    return await runtime.images.get(kept.name, kept.id)
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

  return { toCome, ofShared, first, image, fillVolumes }
}
