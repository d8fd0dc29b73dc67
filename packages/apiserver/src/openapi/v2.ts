/** OpenAPI v2 (Swagger 2.0): one document for everything. What older clients know. */
import type { Resource } from '../registry/resource.ts'
import { reference } from './definition-names.ts'
import { collectDefinitions } from './definitions.ts'
import { type ApiPath, type OpenApiOptions, type Operation, type Parameter, pathsOf } from './operations.ts'

export function openApiV2(resources: readonly Resource[], { subresourcesOf, serverVersion }: OpenApiOptions): object {
  const definitions = collectDefinitions('v2', resources)
  const paths: Record<string, unknown> = {}
  for (const path of resources
    .flatMap((resource) => pathsOf(resource, subresourcesOf))
    .sort((a, b) => (a.path < b.path ? -1 : 1))) {
    paths[path.path] = pathItem(path, definitions.need)
  }
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: serverVersion },
    paths,
    definitions: definitions.all(),
    securityDefinitions: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
    security: [{ BearerToken: [] }],
  }
}

function pathItem({ parameters, operations }: ApiPath, need: (name: string) => void): object {
  return {
    ...Object.fromEntries(operations.map((operation) => [operation.method, operationObject(operation, need)])),
    parameters: parameters.map(parameterObject),
  }
}

function parameterObject({ name, in: place, type }: Parameter): object {
  return { uniqueItems: true, type, name, in: place, ...(place === 'path' && { required: true }) }
}

function bodyParameter({ definition, required }: NonNullable<Operation['body']>): object {
  return { name: 'body', in: 'body', ...(required && { required: true }), schema: reference('v2', definition) }
}

const DESCRIPTIONS: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' }

function operationObject(operation: Operation, need: (name: string) => void): object {
  const { body } = operation
  if (body) need(body.definition)
  const responses = operation.responses.map(([code, definition]): [string, object] => {
    need(definition)
    return [code, { description: DESCRIPTIONS[code], schema: reference('v2', definition) }]
  })
  const parameters = [...(body ? [bodyParameter(body)] : []), ...operation.parameters.map(parameterObject)]
  return {
    description: operation.description,
    consumes: operation.consumes,
    produces: operation.produces,
    schemes: ['https'],
    tags: [operation.tag],
    operationId: operation.id,
    ...(parameters.length > 0 && { parameters }),
    responses: { ...Object.fromEntries(responses), 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.kind,
  }
}
