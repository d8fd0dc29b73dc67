import { expect, test } from 'vitest'
import { podDirectories } from './pod-directories.ts'

const { podLogs } = podDirectories('/data')
const uid = '4cce7f2c-aa04-4277-bb73-7716cbc35f4d'

test('the logs of a Pod are where Kubernetes has them', () => {
  expect(podLogs({ namespace: 'default', name: 'box', uid })).toBe(`/data/logs/default_box_${uid}`)
})

test('the longest names that there are make one that a directory can have, and end with the UID', () => {
  const path = podLogs({ namespace: 'n'.repeat(63), name: 'p'.repeat(253), uid })
  expect(path).toMatch(new RegExp(`^/data/logs/n{63}_p+_${uid}$`))
  expect(path.slice('/data/logs/'.length)).toHaveLength(255)
})
