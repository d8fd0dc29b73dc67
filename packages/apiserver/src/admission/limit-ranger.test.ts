import { expect, test } from 'vitest'
import { startAdmittedCluster } from '../testing/admitted-cluster.ts'

test('what many LimitRanges say of many containers is not looked at', async () => {
  await using cluster = await startAdmittedCluster()
  const names = Array.from({ length: 300 }, (_, index) => `example.com/r${index}`)
  const limit = { type: 'Container', default: Object.fromEntries(names.map((name) => [name, '1'])) }
  await cluster.store.write((transaction) => {
    for (let index = 0; index < 20; index++) {
      const metadata = { name: `l${index}`, namespace: 'a' }
      transaction.put('limitranges', { apiVersion: 'v1', kind: 'LimitRange', metadata, spec: { limits: [limit] } })
    }
  })
  const pod = (count: number) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'a' },
    spec: { containers: Array.from({ length: count }, (_, index) => ({ name: `c${index}`, image: 'i' })) },
  })
  expect(cluster.refusal({ object: pod(1000) })).toBe(
    '403 pods "p" is forbidden: the LimitRanges of the namespace name too many resources for its 1000 containers',
  )
  expect(cluster.refusal({ object: pod(1) })).toBe('admitted')
})
