import type { IncomingHttpHeaders } from 'node:http'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RouterError } from '../router-error.ts'
import { routeOfPath } from './path-route.ts'
import { routeOfHeaders } from './route.ts'

const ROUTE = { namespace: 'default', id: 'box', port: 8888, uid: undefined, timeoutMs: undefined }

/** The route, or the status and the words of the refusal. */
function outcomeOf(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof RouterError)) throw error
    return [error.status, error.message]
  }
}

describe('by headers', () => {
  test.each<[name: string, headers: IncomingHttpHeaders, url: string, expected: unknown]>([
    ['a name is enough', { 'x-sandbox-id': 'box' }, '/a?b', { ...ROUTE, url: '/a?b' }],
    [
      'all of them',
      {
        'x-sandbox-id': 'box',
        'x-sandbox-namespace': 'team',
        'x-sandbox-port': '80',
        'x-sandbox-uid': 'u',
        'x-sandbox-pod-ip': '10.0.0.1',
        'x-sandbox-timeout': '1.5',
      },
      '/',
      { namespace: 'team', id: 'box', port: 80, uid: 'u', timeoutMs: 1500, url: '/' },
    ],
    ['an encoded slash stays', { 'x-sandbox-id': 'box' }, '/a%2Fb%2f..', { ...ROUTE, url: '/a%2Fb%2f..' }],
    ['an absolute target', { 'x-sandbox-id': 'box' }, 'http://x.test?q', { ...ROUTE, url: '/?q' }],
    ['empty ones are none', { 'x-sandbox-id': 'box', 'x-sandbox-port': '' }, '/', { ...ROUTE, url: '/' }],
    ['a timeout that is none', { 'x-sandbox-id': 'box', 'x-sandbox-timeout': '-1' }, '/', { ...ROUTE, url: '/' }],
    [
      'a year is a day',
      { 'x-sandbox-id': 'box', 'x-sandbox-timeout': '31536000' },
      '/',
      { ...ROUTE, url: '/', timeoutMs: 86_400_000 },
    ],
    ['no name', {}, '/', [400, 'X-Sandbox-ID header is required.']],
    ['no target', { 'x-sandbox-id': 'box' }, '*', [400, 'Invalid request target.']],
    ...['a.b', 'A', '-a', 'a-', 'a/b', '..', 'box, box', 'a'.repeat(64)].map(
      (id): [string, IncomingHttpHeaders, string, unknown] => [
        `the name ${id}`,
        { 'x-sandbox-id': id },
        '/',
        [400, 'Invalid sandbox ID format.'],
      ],
    ),
    [
      'a bad namespace',
      { 'x-sandbox-id': 'box', 'x-sandbox-namespace': 'a.b' },
      '/',
      [400, 'Invalid namespace format.'],
    ],
    ...['0', '65536', '-1', '8o80', '80 ', '1e3'].map((port): [string, IncomingHttpHeaders, string, unknown] => [
      `the port ${port}`,
      { 'x-sandbox-id': 'box', 'x-sandbox-port': port },
      '/',
      [400, 'Invalid port format.'],
    ]),
    ...[
      '127.0.0.1',
      '::1',
      '::ffff:127.0.0.1',
      '169.254.169.254',
      'fe80::1',
      '224.0.0.1',
      '0.0.0.0',
      '::',
      'localhost',
      '10.0.0',
    ].map((address): [string, IncomingHttpHeaders, string, unknown] => [
      `the address ${address}`,
      { 'x-sandbox-id': 'box', 'x-sandbox-pod-ip': address },
      '/',
      [400, 'Invalid target IP address.'],
    ]),
  ])('%s', (_name, headers, url, expected) => {
    expect(outcomeOf(() => routeOfHeaders(headers, url))).toEqual(expected)
  })
})

describe('by the path', () => {
  test.each<[url: string, expected: unknown]>([
    [
      '/router/team/box/80/a%2Fb?c=%2F',
      { ...ROUTE, namespace: 'team', port: 80, base: '/router/team/box/80', url: '/a%2Fb?c=%2F' },
    ],
    ['/router/team/box/80', { ...ROUTE, namespace: 'team', port: 80, base: '/router/team/box/80', url: '/' }],
    ['/router/t%65am/box/80//x', { ...ROUTE, namespace: 'team', port: 80, base: '/router/team/box/80', url: '//x' }],
    ['/routerish/team/box/80/', undefined],
    ['/router', undefined],
    ['/other', undefined],
    ['/router/team/box', [400, 'Path-routed request must have the form <prefix>/<namespace>/<id>/<port>/...']],
    ['/router//box/80/', [400, 'Path-routed request must have the form <prefix>/<namespace>/<id>/<port>/...']],
    ['/router/team/box/80?/x', { ...ROUTE, namespace: 'team', port: 80, base: '/router/team/box/80', url: '/?/x' }],
    ['/router/te.am/box/80/', [400, 'Invalid namespace format.']],
    ['/router/team/bo%2Fx/80/', [400, 'Invalid sandbox ID format.']],
    ['/router/team/box/x/', [400, 'Invalid port format.']],
    ['/router/%zz/box/80/', [400, 'Invalid percent-encoding in path.']],
  ])('%s', (url, expected) => {
    // Whatever the headers say: a page cannot set them, and who sets them asks by them alone.
    const headers = { 'x-sandbox-id': 'other', 'x-sandbox-pod-ip': '10.0.0.1', 'x-sandbox-uid': 'u' }
    expect(outcomeOf(() => routeOfPath('/router', url, headers))).toEqual(expected)
  })

  test('leaves what follows the port as it came', () => {
    fc.assert(
      fc.property(fc.webPath(), fc.webQueryParameters(), (path, query) => {
        const rest = `${path || '/'}?${query}`
        expect(routeOfPath('/router', `/router/team/box/80${rest}`, {})?.url).toBe(rest)
      }),
    )
  })
})
