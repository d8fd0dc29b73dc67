import { expect, test } from 'vitest'
import { belowPath } from './below-path.ts'

const BASE = '/router/team/box/80'

test.each([
  ['/login?to=%2F', `${BASE}/login?to=%2F`],
  ['login', 'login'],
  ['//elsewhere.test/', '//elsewhere.test/'],
  ['/\\elsewhere.test/', '/\\elsewhere.test/'],
  ['https://elsewhere.test/', 'https://elsewhere.test/'],
])('a redirect to %s', (location, expected) => {
  expect(belowPath(['Location', location], BASE)).toEqual(['Location', expected])
})

test.each([
  ['a=1', `a=1; Path=${BASE}/`],
  ['a=1; Path=/; HttpOnly', `a=1; HttpOnly; Path=${BASE}/`],
  ['a=1; path=/app; Secure', `a=1; Secure; Path=${BASE}/app`],
  ['a=1; Domain=example.test; Path=/x; Path=/y', `a=1; Path=${BASE}/y`],
  ['a=1;PATH=nothing;domain', `a=1; Path=${BASE}/`],
])('a cookie %s', (cookie, expected) => {
  expect(belowPath(['set-cookie', cookie, 'X', '/x'], BASE)).toEqual(['set-cookie', expected, 'X', '/x'])
})

test('nothing that speaks for the whole origin', () => {
  const answer = ['Service-Worker-Allowed', '/', 'Alt-Svc', 'clear', 'clear-site-data', '"storage"', 'NEL', '{}']
  const more = ['Report-To', '{}', 'Strict-Transport-Security', 'max-age=1', 'Content-Type', 'text/html']
  expect(belowPath([...answer, ...more], BASE)).toEqual(['Content-Type', 'text/html'])
})
