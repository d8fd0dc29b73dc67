import { expect, test } from 'vitest'
import { nodeAccess } from './node-access.ts'

const proxy = ['proxy'] as const

test.each<[method: string, url: string, access: ReturnType<typeof nodeAccess>]>([
  ['GET', '/containerLogs/default/web/main?follow=true', { verb: 'get', subresources: proxy }],
  ['POST', '/exec/default/web/main?command=ls', { verb: 'create', subresources: proxy }],
  // As a WebSocket, too.
  ['GET', '/exec/default/web/main?command=ls', { verb: 'create', subresources: proxy }],
  ['GET', '/attach/default/web/main', { verb: 'create', subresources: proxy }],
  ['GET', '/portForward/default/web', { verb: 'create', subresources: proxy }],
  ['GET', '/stats/summary', { verb: 'get', subresources: ['stats'] }],
  ['GET', '/metrics', { verb: 'get', subresources: ['metrics'] }],
  ['HEAD', '/metrics/resource', { verb: 'get', subresources: ['metrics'] }],
  ['GET', '/healthz', { verb: 'get', subresources: ['healthz', 'proxy'] }],
  ['GET', '/pods', { verb: 'get', subresources: ['pods', 'proxy'] }],
  ['DELETE', '/anything', { verb: 'delete', subresources: proxy }],
  ['GET', '/constructor', { verb: 'get', subresources: proxy }],
])('%s %s asks for %j', (method, url, access) => {
  expect(nodeAccess(method, url)).toEqual(access)
})

test.each([
  ['GET', '/stats/../exec/default/web/main'],
  ['GET', '/stats/..'],
  ['GET', '/./exec/default/web/main'],
  ['GET', '/stats/%2e%2e/exec/default/web/main'],
  ['GET', '/stats%2f..%2fexec/default/web/main'],
  ['GET', '//exec/default/web/main'],
  ['GET', '/stats//summary'],
  ['GET', '/stats/summary/'],
  ['GET', '/stats\\..\\exec/default/web/main'],
  ['GET', 'https://node/exec/default/web/main'],
  ['GET', '*'],
  ['GET', '/'],
  ['GET', ''],
  ['TRACE', '/metrics'],
  ['constructor', '/metrics'],
])('%s %s has no one meaning', (method, url) => {
  expect(nodeAccess(method, url)).toBeUndefined()
})
