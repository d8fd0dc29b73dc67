/** The thread that decodes and encodes YAML: see yaml-thread.ts. */
import { parentPort } from 'node:worker_threads'
import { KUBERNETES_YAML } from '@caisson/api'
import { stringify } from 'yaml'
import { StatusError, type StatusReason } from '../status-error.ts'
import { tooLarge } from '../verbs/errors.ts'
import { decodeYaml } from './decode-yaml.ts'

export interface YamlTask {
  from: 'yaml' | 'json'
  text: string
}

/** Texts go back and forth: parsing JSON takes the event loop a fraction of what cloning its value would. */
export type YamlAnswer = { text: string } | { failure: string; reason: StatusReason | undefined }

parentPort?.on('message', (task: YamlTask) => parentPort?.postMessage(answer(task)))

function answer({ from, text }: YamlTask): YamlAnswer {
  try {
    return { text: from === 'yaml' ? jsonOf(text) : encodeYaml(text) }
  } catch (error) {
    return { failure: (error as Error).message, reason: error instanceof StatusError ? error.reason : undefined }
  }
}

/** Characters: of the longest body there are no more, each of them escaped. A hundred aliases of one text can be a hundred times as many. */
const LONGEST_JSON = 6 * (3 << 20)

function jsonOf(yaml: string): string {
  const json = JSON.stringify(decodeYaml(yaml))
  if (json.length > LONGEST_JSON) throw tooLarge(LONGEST_JSON)
  return json
}

/** With its keys in order, as Go writes it. */
function encodeYaml(json: string): string {
  return stringify(JSON.parse(json), {
    ...KUBERNETES_YAML,
    aliasDuplicateObjects: false,
    lineWidth: 0,
    sortMapEntries: true,
    indentSeq: false,
  })
}
