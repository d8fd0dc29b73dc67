/** OpenAPI v3: one document for each group version. What kubectl reads before `apply`, `diff` and `explain`. */
import type { Resource } from '../registry/resource.ts'
import { META, reference } from './definition-names.ts'
import { collectDefinitions } from './definitions.ts'
import {
  type ApiPath,
  groupVersionPath,
  type OpenApiOptions,
  type Operation,
  type Parameter,
  pathsOf,
} from './operations.ts'

/** The document of the group version that all of `resources` belong to. */
export function openApiV3(resources: readonly Resource[], { subresourcesOf, serverVersion }: OpenApiOptions): object {
  const definitions = collectDefinitions('v3', resources)
  const paths: Record<string, unknown> = {}
  for (const path of resources
    .flatMap((resource) => pathsOf(resource, subresourcesOf))
    .sort((a, b) => (a.path < b.path ? -1 : 1))) {
    paths[path.path] = pathItem(path, definitions.need)
  }
  const [first] = resources
  // Of custom resources kube-apiserver publishes no operations but their own.
  if (first && !first.custom) {
    paths[`${groupVersionPath(first)}/`] = { get: discoveryOperation(first) }
    definitions.need(`${META}.APIResourceList`)
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: serverVersion },
    paths,
    components: {
      schemas: definitions.all(),
      securitySchemes: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
    },
  }
}

function discoveryOperation(resource: Resource): object {
  return {
    description: 'get available resources',
    operationId: `get${resource.group === '' ? 'Core' : resource.group}${resource.version}APIResources`,
    responses: {
      200: {
        description: 'OK',
        content: { 'application/json': { schema: reference('v3', `${META}.APIResourceList`) } },
      },
    },
  }
}

function pathItem({ parameters, operations }: ApiPath, need: (name: string) => void): object {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, operationObject(operation, need)])),
    parameters: parameters.map(parameterObject),
  }
}

function parameterObject({ name, in: place, type }: Parameter): object {
  return { name, in: place, ...(place === 'path' && { required: true }), schema: { type, uniqueItems: true } }
}

const DESCRIPTIONS: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' }

function operationObject(operation: Operation, need: (name: string) => void): object {
  const { body } = operation
  if (body) need(body.definition)
  const responses = operation.responses.map(([code, definition]): [string, object] => {
    need(definition)
    const schema = reference('v3', definition)
    const content = Object.fromEntries(operation.produces.map((type) => [type, { schema }]))
    return [code, { description: DESCRIPTIONS[code], content }]
  })
  return {
    tags: [operation.tag],
    description: operation.description,
    operationId: operation.id,
    ...(operation.parameters.length && { parameters: operation.parameters.map(parameterObject) }),
    ...(body && {
      requestBody: {
        content: Object.fromEntries(body.types.map((type) => [type, { schema: reference('v3', body.definition) }])),
        ...(body.required && { required: true }),
      },
    }),
    responses: { ...Object.fromEntries(responses), 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.kind,
  }
}
