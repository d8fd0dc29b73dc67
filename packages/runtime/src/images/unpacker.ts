import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { RuntimeError } from '../runtime-error.ts'
import type { UnpackBudget } from './layer-writer.ts'
import type { UnpackAnswer, UnpackRequest, UnpackWorkerData } from './unpack-worker.ts'

/** Unpacks an image's layers into one root file system, on a thread of its own. Disposing stops it wherever it is. */
export interface Unpacker extends AsyncDisposable {
  /**
   * Applies the next layer; the lowest comes first. Throws a `RuntimeError` of code `bad-archive` where it is hostile or
   * damaged, or not what `diffId` says.
   */
  apply(layer: UnpackRequest): Promise<void>
  /** Bytes of the files of all layers so far. */
  contentBytes(): number
}

/** What a hostile archive may make the thread hold on to: names of a few million files. */
const MOST_MEMORY_MB = 1024

/** `root` is an empty directory. */
export function createUnpacker(root: string, budget: UnpackBudget, signal?: AbortSignal): Unpacker {
  const data: UnpackWorkerData = { root, budget }
  const worker = new Worker(new URL('./unpack-worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY_MB },
    // What this process was started with (an inspector, a test runner) is not for the thread.
    execArgv: [],
  })
  const waiting: Array<PromiseWithResolvers<void>> = []
  let contentBytes = 0
  let failed: Error | undefined

  function fail(error: Error): void {
    failed ??= error
    for (const each of waiting.splice(0)) each.reject(failed)
  }

  const stop = (): void => {
    fail(signal?.reason as Error)
    void worker.terminate()
  }
  worker.on('message', (answer: UnpackAnswer) => {
    if ('failure' in answer) {
      const { code, message } = answer.failure
      fail(new RuntimeError(code ?? 'failed', message))
      return
    }
    contentBytes = answer.contentBytes
    waiting.shift()?.resolve()
  })
  worker.on('error', (cause: Error) =>
    fail(new RuntimeError('failed', `unpacking stopped: ${cause.message}`, { cause })),
  )
  worker.on('exit', () => fail(new RuntimeError('failed', 'unpacking stopped before its end')))
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })

  return {
    contentBytes: () => contentBytes,
    apply(layer) {
      if (failed) return Promise.reject(failed)
      const answer = Promise.withResolvers<void>()
      waiting.push(answer)
      worker.postMessage(layer)
      return answer.promise
    },
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener('abort', stop)
      const exited = worker.threadId < 0 ? undefined : once(worker, 'exit')
      await worker.terminate()
      await exited
    },
  }
}
