/** Sandboxes of a cluster whose process was killed: they outlive it on purpose, until somebody says `down`. */
import { existsSync } from 'node:fs'
import { stopNode } from '@caisson/kubelet'
import { createRuntime } from '@caisson/runtime'
import { removeDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, toolsDirectory } from './data-directory.ts'
import { isInUserNamespace, releaseNamespaces } from './user-namespace.ts'

/** Stops and removes every sandbox of the directory, which has to be locked. Nothing to do where there never was one. */
export async function stopLeftovers(directory: DataDirectory): Promise<void> {
  if (existsSync(directory.runtime)) {
    await using runtime = await createRuntime({
      stateDirectory: directory.runtime,
      toolsDirectory: toolsDirectory(directory),
      unprivileged: isInUserNamespace(),
    })
    await runtime.recover()
    await stopNode({ runtime, dataDir: directory.kubelet })
  }
  removeDaemonRecord(directory)
  releaseNamespaces(directory)
}
