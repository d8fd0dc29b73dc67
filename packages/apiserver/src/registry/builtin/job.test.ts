import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { jobStrategy } from './job.ts'

const job = (labels?: Record<string, string>): KubeObject => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'a', uid: 'u' },
  spec: { template: { ...(labels && { metadata: { labels } }), spec: { containers: [{ name: 'a', image: 'b' }] } } },
})

test('a Job without labels has those of its template once it is valid', () => {
  const object = job()
  jobStrategy.defaults?.(object)
  jobStrategy.prepareForCreate?.(object, { user: { username: 'a', groups: [] }, now: 0, list: () => [], builtin: [] })
  // Nobody is told that a label is wrong which nobody wrote.
  expect(object.metadata.labels).toBeUndefined()
  jobStrategy.complete?.(object)
  expect(object.metadata.labels).toMatchObject({ 'job-name': 'a', 'controller-uid': 'u' })
})

test('labels of a template are those of the Job, with what is added to them', () => {
  const object = job({ app: 'x' })
  jobStrategy.defaults?.(object)
  jobStrategy.prepareForCreate?.(object, { user: { username: 'a', groups: [] }, now: 0, list: () => [], builtin: [] })
  expect(object.metadata.labels).toMatchObject({ app: 'x', 'job-name': 'a' })
})
