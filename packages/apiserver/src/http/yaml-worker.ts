/** The thread that decodes large YAML bodies: see yaml-thread.ts. */
import { parentPort } from 'node:worker_threads'
import { StatusError, type StatusReason } from '../status-error.ts'
import { decodeYaml } from '../verbs/decode.ts'

/** JSON goes back: parsing it takes the event loop a fraction of what cloning the value would. */
export type YamlAnswer =
  | { json: string; duplicates: readonly string[] }
  | { failure: string; reason: StatusReason | undefined }

parentPort?.on('message', (text: string) => parentPort?.postMessage(answer(text)))

function answer(text: string): YamlAnswer {
  try {
    const { value, duplicates } = decodeYaml(text)
    return { json: JSON.stringify(value), duplicates }
  } catch (error) {
    return { failure: (error as Error).message, reason: error instanceof StatusError ? error.reason : undefined }
  }
}
