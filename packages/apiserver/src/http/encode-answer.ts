/** The text of an answer. Stored objects are encoded once, whoever asks for them and in whatever list. */
import { stringify } from 'yaml'
import { encode } from '../storage/encoding.ts'
import type { Answer } from '../verbs/call.ts'

export function encodeJson(answer: Answer): string {
  const { body } = answer
  if (typeof body === 'string') return body
  return `${answer.list ? encodeList(body as ListBody, answer.resource?.custom !== true) : encode(body)}\n`
}

export function encodeYaml(body: object): string {
  return stringify(body, { aliasDuplicateObjects: false, lineWidth: 0 })
}

interface ListBody {
  kind: string
  apiVersion: string
  metadata: object
  items: readonly { kind: string; apiVersion: string }[]
}

function encodeList({ kind, apiVersion, metadata, items }: ListBody, dropTypes: boolean): string {
  const parts = items.map((item) => {
    const text = encode(item)
    if (!dropTypes) return text
    // Items of built-in lists do not say what they are. Every stored object begins with these two fields.
    const prefix = `{"kind":"${item.kind}","apiVersion":"${item.apiVersion}",`
    return text.startsWith(prefix) ? `{${text.slice(prefix.length)}` : text
  })
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${parts.join(',')}]}`
}
