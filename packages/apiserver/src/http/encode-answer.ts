/** The text of an answer, in pieces. Stored objects are encoded once, whoever asks for them and in whatever list. */
import type { KubeList, KubeObject } from '@caisson/api'
import { encodeObject, encodeList as encodeProtobufList } from '../protobuf/encode.ts'
import { encode } from '../storage/encoding.ts'
import type { Answer } from '../verbs/call.ts'

/** Characters of a piece of a list, which ends with the element that makes it as long. */
const LONG_ENOUGH = 128 << 10

/** A list of any length, of which no more is made than is taken. An empty piece says that more is to come. */
export type Pieces = Generator<string, undefined>

export function encodeJson(answer: Answer): Pieces {
  return joined(jsonTexts(answer))
}

/** Bytes, one a character. */
export function encodeProtobuf({ body, list, elements }: Answer): Pieces {
  // What is said of each is its metadata, of which there is no other in protobuf.
  if (elements) return joined(encodeProtobufList({ ...(body as object), items: [...elements.of] } as KubeList))
  return joined(list ? encodeProtobufList(body as KubeList) : [encodeObject(body as KubeObject)])
}

function* joined(texts: Iterable<string>): Pieces {
  let piece = ''
  for (const text of texts) {
    piece += text
    if (text !== '' && piece.length < LONG_ENOUGH) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

function* jsonTexts({ body, list, elements, resource }: Answer): Generator<string> {
  if (elements) {
    yield `${JSON.stringify(body).slice(0, -1)},"${elements.field}":[`
    yield* separated(elements.of, encode)
    yield ']}\n'
  } else if (list) {
    const { kind, apiVersion, metadata, items } = body as KubeList
    yield `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[`
    yield* separated(items, resource?.custom === true ? encode : withoutTypes)
    yield ']}\n'
  } else yield `${encode(body as object)}\n`
}

function* separated<T>(values: Iterable<T>, textOf: (value: T) => string): Generator<string> {
  let separator = ''
  for (const value of values) {
    yield separator + textOf(value)
    separator = ','
  }
}

/** Items of built-in lists do not say what they are. What came over the API begins with these two fields. */
function withoutTypes(item: KubeObject): string {
  const text = encode(item)
  const prefix = `{"kind":"${item.kind}","apiVersion":"${item.apiVersion}",`
  if (text.startsWith(prefix)) return `{${text.slice(prefix.length)}`
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = item
  return JSON.stringify(rest)
}
