import type { ObjectMeta } from '@caisson/api'

/** What every object has, whatever else its kind declares. Unlike `KubeObject` it asks for no index signature. */
export interface AnyObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
}

/**
 * A type of the package kubernetes-types with the fields required that every stored object has, and writable. A type
 * literal, not an interface, so that it is a `KubeObject` too.
 */
export type Typed<K> = {
  -readonly [F in keyof K as Exclude<F, 'apiVersion' | 'kind' | 'metadata'>]: K[F]
} & { apiVersion: string; kind: string; metadata: ObjectMeta }

/** An object on its way to the server: `apiVersion` and `kind` are filled in from the resource. */
export type Draft<T> = { [F in keyof T as Exclude<F, 'apiVersion' | 'kind'>]: T[F] } & {
  apiVersion?: string
  kind?: string
}

export interface ResourceDefinition {
  /** Empty for the core group. */
  group: string
  version: string
  plural: string
  kind: string
  namespaced: boolean
}

/** One kind as one API server path serves it. `T` is what its objects look like. */
export interface Resource<out T extends AnyObject = AnyObject> extends Readonly<ResourceDefinition> {
  /** `v1`, or `GROUP/VERSION`. */
  readonly apiVersion: string
  /** Never there: carries the type. */
  readonly object?: T
}

/**
 * Describes a resource to the client.
 *
 * @example
 * const widgets = defineResource<Widget>({ group: 'example.com', version: 'v1', plural: 'widgets', kind: 'Widget', namespaced: true })
 * await client.get(widgets, 'left', { namespace: 'default' })
 */
export function defineResource<T extends AnyObject>(definition: ResourceDefinition): Resource<T> {
  const { group, version, plural, kind, namespaced } = definition
  return Object.freeze({
    group,
    version,
    plural,
    kind,
    namespaced,
    apiVersion: group ? `${group}/${version}` : version,
  })
}

export interface ObjectPath {
  /** Undefined: all namespaces, or a resource that has none. */
  namespace?: string | undefined
  name?: string | undefined
  /** `status`, or several segments such as `proxy/metrics`. */
  subresource?: string | undefined
}

/** The path of a resource, or of one of its objects, percent-encoded. Throws a TypeError for what cannot be a name. */
export function resourcePath(resource: Resource, at: ObjectPath = {}): string {
  let path = resource.group
    ? `/apis/${segment('group', resource.group)}/${segment('version', resource.version)}`
    : `/api/${segment('version', resource.version)}`
  if (at.namespace !== undefined && resource.namespaced) path += `/namespaces/${segment('namespace', at.namespace)}`
  else if (at.name !== undefined && resource.namespaced) {
    throw new TypeError(`${resource.kind} ${JSON.stringify(at.name)} needs a namespace: say which in the options`)
  }
  path += `/${segment('resource', resource.plural)}`
  if (at.name !== undefined) path += `/${segment('name', at.name)}`
  if (at.subresource !== undefined) {
    for (const part of at.subresource.split('/')) path += `/${segment('subresource', part)}`
  }
  return path
}

/** Nearly all names: nothing in them has to be encoded. */
const PLAIN_SEGMENT = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/

// What Kubernetes calls a valid path segment name, and no more: each kind has rules of its own on the server.
function segment(what: string, value: string): string {
  if (PLAIN_SEGMENT.test(value)) return value
  if (value === '' || value === '.' || value === '..' || /[/%\0]/.test(value)) {
    throw new TypeError(`${JSON.stringify(value)} cannot be the ${what} in the path of a request`)
  }
  return encodeURIComponent(value)
}

/** `NAMESPACE/NAME`, or `NAME` where there is no namespace: how caches and queues name an object. */
export function keyOf(object: { metadata: ObjectMeta }): string {
  return joinKey(object.metadata.namespace, object.metadata.name ?? '')
}

export function joinKey(namespace: string | undefined, name: string): string {
  return namespace ? `${namespace}/${name}` : name
}

export function splitKey(key: string): { namespace: string | undefined; name: string } {
  const slash = key.indexOf('/')
  return slash < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}
