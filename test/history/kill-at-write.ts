/** A thread that does nothing but wait until a file is written to, and then kills a process: no later than that. */
import { watch } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

const { file, pid } = workerData as { file: string; pid: number }
const watcher = watch(file, () => {
  watcher.close()
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
})
parentPort?.postMessage('watching')
