/** The text of an answer. Stored objects are encoded once, whoever asks for them and in whatever list. */
import { stringify } from 'yaml'
import { encode } from '../storage/encoding.ts'
import type { Answer } from '../verbs/call.ts'

export function encodeJson({ body, list, resource }: Answer): string {
  return `${list ? encodeList(body as ListBody, resource?.custom !== true) : encode(body as object)}\n`
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
    // Items of built-in lists do not say what they are. What came over the API begins with these two fields.
    const prefix = `{"kind":"${item.kind}","apiVersion":"${item.apiVersion}",`
    if (text.startsWith(prefix)) return `{${text.slice(prefix.length)}`
    const { kind: _kind, apiVersion: _apiVersion, ...rest } = item
    return JSON.stringify(rest)
  })
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${parts.join(',')}]}`
}
