/** Sandboxes of a cluster whose process was killed: they outlive it on purpose, until somebody says `down`. */
import { existsSync } from 'node:fs'
import { snapshotImages, stopNode } from '@caisson/kubelet'
import { createRuntime } from '@caisson/runtime'
import { removeDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, toolsDirectory } from './data-directory.ts'
import { isInUserNamespace, releaseNamespaces } from './user-namespace.ts'

/**
 * Stops and removes every sandbox of the directory, which has to be locked. Nothing to do where there never was one.
 *
 * @throws where something could not be taken away; everything else is gone then
 */
export async function stopLeftovers(directory: DataDirectory): Promise<void> {
  if (existsSync(directory.runtime)) {
    await using runtime = await createRuntime({
      stateDirectory: directory.runtime,
      toolsDirectory: toolsDirectory(directory),
      imagesKept: () => snapshotImages(directory.kubelet),
      unprivileged: isInUserNamespace(),
    })
    const left: string[] = []
    await runtime.recover(undefined, (error, where) => left.push(`${where}: ${(error as Error).message}`))
    await stopNode({ runtime, dataDir: directory.kubelet })
    if (left.length > 0) throw new Error(`not everything could be taken away: ${left.join('; ')}`)
  }
  removeDaemonRecord(directory)
  releaseNamespaces(directory)
}
