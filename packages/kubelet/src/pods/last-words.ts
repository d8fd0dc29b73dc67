/** What containers said at their end, which their Pods' statuses tell. */
import type { PodObject } from '@caisson/client'
import type { Sandbox } from '@caisson/runtime'
import { CONTAINER_LABELS } from '../containers/container-spec.ts'
import { terminationMessage } from '../containers/termination-message.ts'
import type { RecordedEnds } from '../node/recorded-ends.ts'
import type { PodDirectories } from '../pod-directories.ts'
import { CONTAINER_ID_SCHEME } from './container-status.ts'
import { findContainer, statusesOf } from './observed-pod.ts'
import type { PodMemory } from './pod-memory.ts'

interface LastWordsOptions {
  directories: PodDirectories
  /** How containers ended that were stopped with the node. */
  ends: RecordedEnds
}

export interface LastWords {
  read(memory: PodMemory, sandbox: Sandbox): Promise<void>
  recall(pod: PodObject, memory: PodMemory): Promise<void>
}

export function createLastWords({ directories, ends }: LastWordsOptions): LastWords {
  /** Once for each container that has ended. */
  async function read({ pod, lastWords, stopping }: PodMemory, sandbox: Sandbox): Promise<void> {
    for (const { spec, state } of sandbox.containers) {
      if (state.phase !== 'exited' || lastWords.has(spec.id)) continue
      stopping.delete(spec.id)
      const name = spec.labels[CONTAINER_LABELS.name] ?? ''
      const restartCount = Number(spec.labels[CONTAINER_LABELS.restartCount] ?? 0)
      lastWords.set(spec.id, await wordsOf(pod, { name, restartCount }, state))
    }
  }

  async function wordsOf(
    pod: PodObject,
    run: { name: string; restartCount: number },
    { exitCode }: { exitCode: number },
  ): Promise<string | undefined> {
    const { namespace = '', name = '', uid = '' } = pod.metadata
    return await terminationMessage(findContainer(pod, run.name), {
      message: directories.terminationMessage(uid, run.name, run.restartCount),
      log: directories.log({ namespace, name, uid }, run.name, run.restartCount),
      exitCode,
    })
  }

  /** Of containers that were stopped with the node: their files are still there. */
  async function recall(pod: PodObject, memory: PodMemory): Promise<void> {
    for (const { name, containerID = '', restartCount } of statusesOf(pod)) {
      const id = containerID.slice(CONTAINER_ID_SCHEME.length)
      const state = ends.get(id)
      if (state) memory.ends.set(id, { state, terminationMessage: await wordsOf(pod, { name, restartCount }, state) })
    }
  }

  return { read, recall }
}
