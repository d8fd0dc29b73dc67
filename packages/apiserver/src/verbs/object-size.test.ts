import { expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { startServer } from '../testing/running-server.ts'
import { MOST_CHARACTERS, refuseTooLarge } from './object-size.ts'

const PATH = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
const LONG = 'x'.repeat(200_000)

test('patches add up to no more than an object may have', async () => {
  await using server = await startServer({ resources: builtinResources() })
  const patch = (operation: object) =>
    server.request('PATCH', `${PATH}/a`, {
      body: [operation],
      headers: { 'content-type': 'application/json-patch+json' },
    })
  const small = { verbs: ['get'], apiGroups: [''], resources: ['pods'] }
  await server.request('POST', PATH, {
    body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'a' }, rules: [small] },
  })
  const rule = { ...small, resourceNames: [LONG] }
  const statuses: number[] = []
  for (let index = 0; index < 9; index++) {
    statuses.push((await patch({ op: 'add', path: '/rules/-', value: rule })).status)
  }
  const taken = Math.floor(MOST_CHARACTERS / LONG.length)
  expect(statuses).toEqual([...Array.from({ length: taken }, () => 200), 413, 413])
  expect((await patch({ op: 'remove', path: '/rules/0' })).status).toBe(200)
})

test('what merge patches leave as it is counts once, and what they take away not for ever', () => {
  const half = 'x'.repeat(MOST_CHARACTERS / 2)
  const first = { spec: { half, other: { a: 'b' } }, status: {} }
  refuseTooLarge(first)
  let last: typeof first = first
  for (let round = 0; round < 10; round++) {
    const next = { ...last, status: { round } }
    refuseTooLarge(next, last)
    last = next
  }
  const rewritten = { ...last, spec: { ...last.spec, half: 'y'.repeat(half.length) } }
  expect(() => refuseTooLarge(rewritten, last)).not.toThrow()
  const twice = { ...rewritten, status: { half } }
  expect(() => refuseTooLarge(twice, rewritten)).toThrow('Request entity too large')
  const copied = { ...first, again: first.spec }
  expect(() => refuseTooLarge(copied, first)).toThrow('Request entity too large')
})
