/** The operations of a kind in one form, from which OpenAPI v2 and v3 are both written. */
import type { Resource, Verb } from '../registry/resource.ts'
import { definitionName, META } from './definition-names.ts'

export type Method = 'get' | 'post' | 'put' | 'delete' | 'patch'

export interface Parameter {
  name: string
  in: 'query' | 'path'
  type: 'string' | 'integer' | 'boolean'
}

export interface Operation {
  method: Method
  id: string
  tag: string
  description: string
  /** `x-kubernetes-action`. */
  action: string
  kind: { group: string; version: string; kind: string }
  parameters: readonly Parameter[]
  body?: { types: readonly string[]; definition: string; required: boolean }
  /** Media types of a request; Swagger 2 says them even where there is no body. */
  consumes: readonly string[]
  /** Media types of the answer. */
  produces: readonly string[]
  /** Status code to definition. */
  responses: ReadonlyArray<[code: string, definition: string]>
}

/** What of a subresource shows in its operations. */
export interface SubresourceShape {
  name: string
  kind: string
  group?: string
  version?: string
  verbs: readonly Verb[]
}

export type SubresourcesOf = (resource: Resource) => readonly SubresourceShape[]

export interface OpenApiOptions {
  subresourcesOf: SubresourcesOf
  /** Such as `v1.34.4`. */
  serverVersion: string
}

export interface ApiPath {
  path: string
  parameters: readonly Parameter[]
  operations: readonly Operation[]
}

function query(name: string, type: Parameter['type'] = 'string'): Parameter {
  return { name, in: 'query', type }
}

function inPath(name: string): Parameter {
  return { name, in: 'path', type: 'string' }
}

const LIST = [
  query('allowWatchBookmarks', 'boolean'),
  query('continue'),
  query('fieldSelector'),
  query('labelSelector'),
  query('limit', 'integer'),
  query('resourceVersion'),
  query('resourceVersionMatch'),
  query('sendInitialEvents', 'boolean'),
  query('timeoutSeconds', 'integer'),
  query('watch', 'boolean'),
]
/** kubectl looks for `fieldValidation` and `dryRun` here before it relies on them. */
const WRITE = [query('dryRun'), query('fieldManager'), query('fieldValidation')]
const PATCH = [...WRITE, query('force', 'boolean')]
const GET = [query('resourceVersion')]
const DELETE = [
  query('dryRun'),
  query('gracePeriodSeconds', 'integer'),
  query('ignoreStoreReadErrorWithClusterBreakingPotential', 'boolean'),
  query('orphanDependents', 'boolean'),
  query('propagationPolicy'),
]
const DELETE_COLLECTION = [...LIST.filter(({ name }) => name !== 'allowWatchBookmarks' && name !== 'watch'), ...DELETE]

/** What kube-apiserver publishes of built-in kinds and of custom resources is written by two hands. */
interface Dialect {
  /** Of every body but a patch. */
  bodies: readonly string[]
  patches: readonly string[]
  ofList: readonly string[]
  get: readonly Parameter[]
  deleteCollection: readonly Parameter[]
  /** Whether deleting a collection takes DeleteOptions, and a patch may answer 201. */
  complete: boolean
}

const PRODUCES = ['application/json', 'application/yaml']
const PRODUCES_STREAMS = ['application/json', 'application/json;stream=watch', 'application/yaml']

const BUILT_IN: Dialect = {
  bodies: ['*/*'],
  patches: [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
  ],
  ofList: PRODUCES_STREAMS,
  get: [],
  deleteCollection: DELETE_COLLECTION,
  complete: true,
}
const CUSTOM: Dialect = {
  bodies: ['application/json', 'application/yaml'],
  patches: ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml'],
  ofList: PRODUCES,
  get: GET,
  deleteCollection: LIST,
  complete: false,
}

/** Where a group version is served: `/api/v1`, `/apis/GROUP/VERSION`. */
export function groupVersionPath({ group, version }: { group: string; version: string }): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`
}

/** All paths of a kind, subresources included. */
export function pathsOf(resource: Resource, subresourcesOf: SubresourcesOf): ApiPath[] {
  const writer = operationWriter(resource)
  const root = groupVersionPath(resource)
  const collection = resource.namespaced
    ? `${root}/namespaces/{namespace}/${resource.plural}`
    : `${root}/${resource.plural}`
  const shared = resource.namespaced ? [inPath('namespace'), query('pretty')] : [query('pretty')]
  const paths: ApiPath[] = [
    { path: collection, parameters: shared, operations: writer.collection() },
    { path: `${collection}/{name}`, parameters: [inPath('name'), ...shared], operations: writer.object() },
  ]
  if (resource.namespaced && resource.verbs.includes('list')) {
    const operations = [writer.listAll()]
    paths.push({ path: `${root}/${resource.plural}`, parameters: [query('pretty')], operations })
  }
  for (const subresource of subresourcesOf(resource)) {
    paths.push({
      path: `${collection}/{name}/${subresource.name}`,
      parameters: [inPath('name'), ...shared],
      operations: writer.subresource(subresource),
    })
  }
  return paths.filter(({ operations }) => operations.length > 0).map(withSharedParameters)
}

/** What every operation of a path takes is said once, of the path. */
function withSharedParameters({ path, parameters, operations }: ApiPath): ApiPath {
  const [first, ...others] = operations
  const everywhere = (parameter: Parameter): boolean =>
    others.every((operation) => operation.parameters.some(({ name }) => name === parameter.name))
  const shared = (first?.parameters ?? []).filter(everywhere)
  if (shared.length === 0) return { path, parameters, operations }
  const left = (all: readonly Parameter[]): Parameter[] =>
    all.filter(({ name }) => !shared.some((one) => one.name === name))
  return {
    path,
    parameters: [...parameters, ...shared],
    operations: operations.map((operation) => ({ ...operation, parameters: left(operation.parameters) })),
  }
}

interface OperationWriter {
  collection(): Operation[]
  object(): Operation[]
  listAll(): Operation
  subresource(subresource: SubresourceShape): Operation[]
}

function operationWriter(resource: Resource): OperationWriter {
  const { group, version, kind, custom } = resource
  const own = definitionName(resource, kind)
  const list = definitionName(resource, resource.listKind)
  const groupPart = idPart(group === '' ? 'core' : group)
  const scope = resource.namespaced ? 'Namespaced' : ''
  const dialect = custom ? CUSTOM : BUILT_IN
  const tag = `${groupPart[0]?.toLowerCase()}${groupPart.slice(1)}_${version}`

  function operation(method: Method, verb: string, action: string, rest: Partial<Operation>): Operation {
    return {
      method,
      id: verb.replace('*', `${groupPart}${idPart(version)}`),
      tag,
      description: '',
      action,
      kind: { group, version, kind },
      parameters: [],
      consumes: rest.body?.types ?? dialect.bodies,
      produces: PRODUCES,
      responses: [['200', own]],
      ...rest,
    }
  }
  function has(verb: Verb): boolean {
    return resource.verbs.includes(verb)
  }
  function listing(id: string): Operation {
    return operation('get', id, 'list', {
      description: `list or watch objects of kind ${kind}`,
      parameters: LIST,
      produces: dialect.ofList,
      responses: [['200', list]],
    })
  }
  const body = { types: dialect.bodies, definition: own, required: true }
  const deleteBody = { types: dialect.bodies, definition: `${META}.DeleteOptions`, required: false }

  function change(suffix: string, definition: string, verbs: readonly Verb[], of: Operation['kind']): Operation[] {
    const responses: Operation['responses'] = [
      ['200', definition],
      ['201', definition],
    ]
    const operations: Operation[] = []
    if (verbs.includes('get')) {
      operations.push(
        operation('get', `read*${scope}${kind}${suffix}`, 'get', {
          kind: of,
          description: `read the specified ${kind}`,
          parameters: dialect.get,
          responses: [['200', definition]],
        }),
      )
    }
    if (verbs.includes('update')) {
      operations.push(
        operation('put', `replace*${scope}${kind}${suffix}`, 'put', {
          kind: of,
          description: `replace the specified ${kind}`,
          parameters: WRITE,
          body: { ...body, definition },
          responses,
        }),
      )
    }
    if (verbs.includes('patch')) {
      operations.push(
        operation('patch', `patch*${scope}${kind}${suffix}`, 'patch', {
          kind: of,
          description: `partially update the specified ${kind}`,
          parameters: PATCH,
          body: { types: dialect.patches, definition: `${META}.Patch`, required: true },
          responses: dialect.complete ? responses : responses.slice(0, 1),
        }),
      )
    }
    return operations
  }

  return {
    collection() {
      const operations: Operation[] = []
      if (has('list')) operations.push(listing(`list*${scope}${kind}`))
      if (has('create')) {
        operations.push(
          operation('post', `create*${scope}${kind}`, 'post', {
            description: `create ${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`,
            parameters: WRITE,
            body,
            responses: [
              ['200', own],
              ['201', own],
              ['202', own],
            ],
          }),
        )
      }
      if (has('deletecollection')) {
        operations.push(
          operation('delete', `delete*Collection${scope}${kind}`, 'deletecollection', {
            description: `delete collection of ${kind}`,
            parameters: dialect.deleteCollection,
            ...(dialect.complete && { body: deleteBody }),
            responses: [['200', `${META}.Status`]],
          }),
        )
      }
      return operations
    },
    object() {
      const operations = change('', own, resource.verbs, { group, version, kind })
      if (has('delete')) {
        const status = `${META}.Status`
        operations.push(
          operation('delete', `delete*${scope}${kind}`, 'delete', {
            description: `delete ${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`,
            parameters: DELETE,
            body: deleteBody,
            responses: [
              ['200', status],
              ['202', status],
            ],
          }),
        )
      }
      return operations
    },
    listAll: () => listing(`list*${kind}ForAllNamespaces`),
    subresource({ name, kind: subKind, group: subGroup = group, version: subVersion = version, verbs }) {
      // Even of `scale`, whose body is another kind, what kube-apiserver says of a custom resource is the resource's own.
      const of = custom ? { group, version, kind } : { group: subGroup, version: subVersion, kind: subKind }
      const suffix = `${name[0]?.toUpperCase()}${name.slice(1)}`
      const definition = subKind === kind ? own : definitionName({ group: subGroup, version: subVersion }, subKind)
      // What streams (exec, log …) has no schema that a client could use.
      if (subKind.endsWith('Options') || name === 'log') return []
      const operations = change(suffix, definition, verbs, of)
      if (verbs.includes('create')) {
        operations.push(
          operation('post', `create*${scope}${kind}${suffix}`, 'post', {
            kind: of,
            description: `create ${name} of ${kind}`,
            parameters: WRITE,
            body: { ...body, definition },
            responses: [['201', definition]],
          }),
        )
      }
      return operations
    },
  }
}

/** `agents.x-k8s.io` becomes `AgentsXK8sIo`, as in operation ids. */
function idPart(name: string): string {
  return name
    .replace(/\.k8s\.io$/, '')
    .split(/[.-]/)
    .map((part) => `${part[0]?.toUpperCase() ?? ''}${part.slice(1)}`)
    .join('')
}
