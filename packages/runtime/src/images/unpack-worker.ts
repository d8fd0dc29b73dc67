/** A worker thread that applies the layers of one image in the order in which it is told of them. */
import { parentPort, workerData } from 'node:worker_threads'
import { RuntimeError, type RuntimeErrorCode } from '../runtime-error.ts'
import { asArchiveError, decompressed } from './archive.ts'
import { createRootfsWriter, type UnpackBudget } from './layer-writer.ts'

export interface UnpackWorkerData {
  root: string
  budget: UnpackBudget
}

export interface UnpackRequest {
  /** The layer, as compressed as it was stored. */
  file: string
  /** `sha256:` digest of the layer without compression. */
  diffId: string
}

export type UnpackAnswer =
  /** Of the image so far. */
  { contentBytes: number } | { failure: { code: RuntimeErrorCode | undefined; message: string } }

const { root, budget } = workerData as UnpackWorkerData
const writer = createRootfsWriter(root, budget)
let turn = Promise.resolve()

parentPort?.on('message', (request: UnpackRequest) => {
  turn = turn.then(async () => parentPort?.postMessage(await answer(request)))
})

async function answer(request: UnpackRequest): Promise<UnpackAnswer> {
  try {
    await apply(request)
    return { contentBytes: writer.contentBytes() }
  } catch (error) {
    const { message } = error as Error
    return { failure: { code: error instanceof RuntimeError ? error.code : undefined, message } }
  }
}

async function apply({ file, diffId }: UnpackRequest): Promise<void> {
  const source = await decompressed(file)
  const layer = writer.beginLayer()
  try {
    for await (const chunk of source) layer.push(chunk as Buffer)
    const digest = layer.finish()
    if (digest !== diffId)
      throw new RuntimeError('bad-archive', `a layer has the digest ${digest}, the configuration says ${diffId}`)
  } catch (error) {
    throw asArchiveError(error)
  } finally {
    layer.abandon()
    source.destroy()
  }
}
