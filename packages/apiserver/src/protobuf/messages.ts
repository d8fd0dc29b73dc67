/** Field numbers of the built-in kinds, from generated/messages.json (made by scripts/generate-protobuf.ts). */
import { readFileSync } from 'node:fs'

export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

export interface Field {
  number: number
  /** As in JSON; undefined for an embedded message, whose fields are those of the one around it. */
  name: string | undefined
  /** `string`, `bool`, `bytes`, `int32`, `int64`, `double`, or the definition of a message. */
  type: string
  shape: 'one' | 'list' | 'map'
  /** A pointer in Go: not written where it is absent. What is none is always written. */
  pointer: boolean
}

export type Message = ReadonlyMap<number, Field>

let texts: Readonly<Record<string, string>> | undefined
const messages = new Map<string, Message>()

export const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
export const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

const REGISTRATION = 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1'

/** Kinds that are served beside those of every group. */
const META_KINDS: ReadonlySet<string> = new Set([
  'DeleteOptions',
  'Status',
  'APIVersions',
  'APIGroup',
  'APIGroupList',
  'APIResourceList',
])

/** `rbac.authorization.k8s.io/v1` `Role` is `io.k8s.api.rbac.v1.Role`. */
export function definitionOf(apiVersion: string, kind: string): string {
  if (META_KINDS.has(kind) || apiVersion === 'meta.k8s.io/v1') return `${META}.${kind}`
  if (apiVersion === 'meta.k8s.io/v1beta1') return metaV1beta1(kind)
  if (apiVersion === 'apiextensions.k8s.io/v1') return `${EXTENSIONS}.${kind}`
  if (apiVersion === 'apiregistration.k8s.io/v1') return `${REGISTRATION}.${kind}`
  const [group = '', version] = apiVersion.split('/')
  if (version === undefined) return `io.k8s.api.core.${group}.${kind}`
  return `io.k8s.api.${group.split('.')[0]}.${version}.${kind}`
}

/** Its list has numbers of its own; the rest is v1's. */
function metaV1beta1(kind: string): string {
  return kind === 'PartialObjectMetadataList' ? `${META}beta1.${kind}` : `${META}.${kind}`
}

/** Undefined where Kubernetes has no message of that name. */
export function messageOf(definition: string): Message | undefined {
  const known = messages.get(definition)
  if (known) return known
  texts ??= JSON.parse(readFileSync(new URL('./generated/messages.json', import.meta.url), 'utf8')) as Readonly<
    Record<string, string>
  >
  const text = Object.hasOwn(texts, definition) ? texts[definition] : undefined
  if (text === undefined) return undefined
  const fields = text === '' ? [] : text.split(',').map(parseField)
  const message = new Map(fields.map((field) => [field.number, field]))
  messages.set(definition, message)
  return message
}

function parseField(text: string): Field {
  const [number = '', name = '', type = ''] = text.split(' ')
  const shape = type.endsWith('[]') ? 'list' : type.endsWith('{}') ? 'map' : 'one'
  const pointer = type.endsWith('?')
  return {
    number: Number(number),
    name: name === '~' ? undefined : name,
    type: shape !== 'one' ? type.slice(0, -2) : pointer ? type.slice(0, -1) : type,
    shape,
    pointer,
  }
}
