import { describe, expect, test } from 'vitest'
import type { PathHandler } from '../pipeline.ts'
import { builtinResources } from '../registry/builtin/index.ts'
import type { Answer, Call } from '../verbs/call.ts'
import { createOpenApiDocuments } from './documents.ts'
import { openApiPaths } from './paths.ts'

const resources = builtinResources()
const documents = createOpenApiDocuments(() => resources, { subresourcesOf: () => [], serverVersion: 'v1.34.4' })
const v2 = openApiPaths(documents)('/openapi/v2') as PathHandler

function ask(accept: string | undefined): ReturnType<PathHandler> {
  return v2({ accept } as Call)
}

const PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
const DEPRECATED = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'

describe('/openapi/v2', () => {
  test.each([undefined, '', '*/*', 'application/json', 'text/html, application/json', `application/json, ${PROTOBUF}`])(
    'is JSON for %j',
    (accept) => {
      const { status, body, contentType } = ask(accept) as Answer
      expect([status, contentType, body === documents.v2().json]).toEqual([200, 'application/json', true])
    },
  )

  test.each([PROTOBUF, DEPRECATED, `${DEPRECATED}, application/json`, `application/json;q=0.5, ${DEPRECATED}`])(
    'is protobuf for %j',
    (accept) => {
      const { status, body, contentType } = ask(accept) as Answer
      expect([status, contentType, body === documents.v2Protobuf()]).toEqual([200, PROTOBUF, true])
    },
  )

  test('refuses what it cannot write, and says what it can', () => {
    expect(() => ask('text/html')).toThrow(
      `expected the Accept header to allow application/json or ${PROTOBUF}, found "text/html"`,
    )
  })
})
