/** The OpenAPI documents of what is served right now, each made when it is first asked for. */
import { tagOf } from '../http/known-document.ts'
import type { Resource } from '../registry/resource.ts'
import { groupVersionPath, type OpenApiOptions } from './operations.ts'
import { openApiV2 } from './v2.ts'
import { encodeOpenApiV2 } from './v2-protobuf.ts'
import { openApiV3 } from './v3.ts'

export interface OpenApiText {
  json: string
  /** The `hash` in the index, and the ETag. */
  hash: string
}

export interface OpenApiDocuments {
  /** `/openapi/v3`: `{"paths":{"api/v1":{"serverRelativeURL":"/openapi/v3/api/v1?hash=…"}}}` */
  v3Index(): { paths: Record<string, { serverRelativeURL: string }> }
  /** `/openapi/v3/PATH`, such as `api/v1` or `apis/apps/v1`. */
  v3(path: string): OpenApiText | undefined
  /** `/openapi/v2` as JSON. */
  v2(): OpenApiText
  /** `/openapi/v2` as `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`. */
  v2Protobuf(): Buffer
}

interface Cached<T> {
  resources: readonly Resource[]
  value: T
}

/**
 * Documents are kept until one of the resources they describe is replaced by another: those of the built-in kinds are
 * made once, that of a custom group again when one of its CustomResourceDefinitions changes.
 *
 * @param resources what is served at the moment of the call: the registry's `all`
 */
export function createOpenApiDocuments(
  resources: () => readonly Resource[],
  options: OpenApiOptions,
): OpenApiDocuments {
  const groups = new Map<string, Cached<OpenApiText>>()
  let document: Cached<{ text: OpenApiText; protobuf: Buffer | undefined; object: object }> | undefined

  function byGroupVersion(): Map<string, Resource[]> {
    const found = new Map<string, Resource[]>()
    for (const resource of resources()) {
      const path = groupVersionPath(resource).slice(1)
      const members = found.get(path)
      if (members) members.push(resource)
      else found.set(path, [resource])
    }
    // Groups come and go with their definitions, and a document can be as large as what it describes.
    for (const path of groups.keys()) if (!found.has(path)) groups.delete(path)
    return found
  }

  function v3Of(path: string, members: readonly Resource[]): OpenApiText {
    const known = groups.get(path)
    if (known && sameMembers(known.resources, members)) return known.value
    const value = textOf(openApiV3(members, options))
    groups.set(path, { resources: members, value })
    return value
  }

  function v2Of(): { text: OpenApiText; protobuf: Buffer | undefined; object: object } {
    const members = resources()
    if (!document || !sameMembers(document.resources, members)) {
      const object = openApiV2(members, options)
      document = { resources: members, value: { text: textOf(object), protobuf: undefined, object } }
    }
    return document.value
  }

  return {
    v3Index() {
      const paths: Record<string, { serverRelativeURL: string }> = {}
      for (const [path, members] of byGroupVersion()) {
        paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${v3Of(path, members).hash}` }
      }
      return { paths }
    },
    v3(path) {
      const members = byGroupVersion().get(path)
      return members && v3Of(path, members)
    },
    v2: () => v2Of().text,
    v2Protobuf() {
      const value = v2Of()
      value.protobuf ??= encodeOpenApiV2(value.object)
      return value.protobuf
    },
  }
}

function sameMembers(a: readonly Resource[], b: readonly Resource[]): boolean {
  return a.length === b.length && a.every((resource, index) => resource === b[index])
}

function textOf(document: object): OpenApiText {
  const json = JSON.stringify(document)
  return { json, hash: tagOf(json) }
}
