/** The text of an answer. Stored objects are encoded once, whoever asks for them and in whatever list. */
import type { KubeList, KubeObject } from '@caisson/api'
import { encodeObject, encodeList as encodeProtobufList } from '../protobuf/encode.ts'
import { encode } from '../storage/encoding.ts'
import type { Answer } from '../verbs/call.ts'

export function encodeJson({ body, list, resource }: Answer): string {
  return `${list ? encodeList(body as KubeList, resource?.custom !== true) : encode(body as object)}\n`
}

/** Bytes, one a character. */
export function encodeProtobuf({ body, list }: Answer): string {
  return list ? encodeProtobufList(body as KubeList) : encodeObject(body as KubeObject)
}

function encodeList({ kind, apiVersion, metadata, items }: KubeList, dropTypes: boolean): string {
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
