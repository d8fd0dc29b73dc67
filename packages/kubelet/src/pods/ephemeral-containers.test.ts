import { SNAPSHOT_ANNOTATION } from '@caisson/api'
import type { EphemeralContainer } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { companyOf, startableEphemerals, whatItWaitsFor } from './ephemeral-containers.ts'
import { aPod, aRun, exited, observed, running } from './observed-pod-fixtures.ts'

const debug: EphemeralContainer = { name: 'debug', image: 'busybox' }
const shared = { id: 'uid-1-0', attempt: 0, shared: true, alive: true, ip: undefined }
const pod = (ephemeralContainers: EphemeralContainer[]) => aPod({ spec: { ephemeralContainers } })

describe('where a container goes that is put into a Pod', () => {
  test('beside the only one, or into the sandbox of them all', () => {
    const runs = [aRun(running())]
    expect([
      companyOf(observed(pod([debug]), { runs }), debug),
      companyOf(observed(pod([debug]), { runs, sandbox: shared }), debug),
      companyOf(observed(pod([debug]), { runs }), { name: 'main' }),
    ]).toEqual([{ beside: 'uid-1-main-0' }, {}, {}])
  })

  test('it sees the processes of its target', () => {
    const aimed = { ...debug, targetContainerName: 'main' }
    const runs = [aRun(running())]
    expect([
      companyOf(observed(pod([aimed]), { runs }), aimed),
      companyOf(observed(pod([aimed]), { runs, sandbox: shared }), aimed),
    ]).toEqual([{ beside: 'uid-1-main-0', processesOf: 'uid-1-main-0' }, { processesOf: 'uid-1-main-0' }])
  })

  test('a target that does not run is no target', () => {
    const aimed = { ...debug, targetContainerName: 'main' }
    const given = observed(pod([aimed]), { runs: [aRun(exited(1))], sandbox: shared })
    expect(() => companyOf(given, aimed)).toThrow('unable to find target container main')
  })
})

test('what cannot begin says why', () => {
  const many = Array.from({ length: 101 }, (_, index): EphemeralContainer => ({ name: `d-${index}`, image: 'busybox' }))
  const given = observed(pod(many), { runs: [aRun(running())] })
  expect(startableEphemerals(given)).toEqual(many.slice(0, 100))
  expect(whatItWaitsFor(given, many[99] ?? debug)).toBeUndefined()
  expect(whatItWaitsFor(given, many[100] ?? debug)).toEqual({
    reason: 'TooManyContainers',
    message: 'this node runs at most 100 ephemeral containers of one Pod',
  })
  const { metadata, ...rest } = pod([debug])
  const forked = { ...rest, metadata: { ...metadata, annotations: { [SNAPSHOT_ANNOTATION]: 'kept' } } }
  expect(whatItWaitsFor(observed(forked, { runs: [aRun(exited(1))] }), debug)).toEqual({
    reason: 'WaitingForContainer',
    message: 'it can only run beside container "main", which begins with a snapshot and does not run',
  })
})
