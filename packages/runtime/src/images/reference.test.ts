import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { normalizeReference } from './reference.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`

describe('normalizeReference', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36'],
    ['team/app', 'docker.io/team/app:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['example.org/a/b/c_d-e.f', 'example.org/a/b/c_d-e.f:latest'],
    [`app@${DIGEST}`, `docker.io/library/app@${DIGEST}`],
    [`app:v1@${DIGEST}`, `docker.io/library/app:v1@${DIGEST}`],
    ['caisson.dev/host', 'caisson.dev/host:latest'],
  ])('%s is %s', (given, expected) => expect(normalizeReference(given)).toBe(expected))

  test.each([
    '',
    'UPPER',
    'a//b',
    'a/',
    '/a',
    'a:',
    'a:b c',
    'a@sha256:short',
    '../a',
    'a/../b',
    'a:b:c',
    'exa mple.org/a',
    'a'.repeat(600),
    'http://example.org/a',
  ])('%j is none', (given) => expect(() => normalizeReference(given)).toThrow(/is not the name of an image/))

  test('is its own normal form', () => {
    const name = fc.stringMatching(
      /^([a-z0-9]{1,5}(\.[a-z]{1,3})?(:\d{2,4})?\/)?[a-z0-9]{1,6}([._-][a-z0-9]{1,3})?(\/[a-z0-9]{1,4})?(:[\w.-]{1,6})?$/,
    )
    fc.assert(
      fc.property(name, (given) => {
        let once: string
        try {
          once = normalizeReference(given)
        } catch {
          return
        }
        expect(normalizeReference(once)).toBe(once)
      }),
    )
  })
})
