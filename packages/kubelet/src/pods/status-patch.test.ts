import fc from 'fast-check'
import type { PodCondition, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { statusPatch } from './status-patch.ts'

const time = '2026-01-01T00:00:00Z'
const container = { name: 'main', image: 'image', imageID: '', ready: true, restartCount: 1 }

describe('statusPatch', () => {
  test.each<[name: string, current: PodStatus | undefined, wanted: PodStatus, patch: unknown]>([
    ['nothing to change', { phase: 'Running', podIP: '10.0.0.1' }, { phase: 'Running', podIP: '10.0.0.1' }, undefined],
    [
      'a time that is none',
      {
        containerStatuses: [{ ...container, lastState: { terminated: { exitCode: 137, finishedAt: null as never } } }],
      },
      { containerStatuses: [{ ...container, lastState: { terminated: { exitCode: 137 } } }] },
      undefined,
    ],
    ['a new field', { phase: 'Pending' }, { phase: 'Running' }, { phase: 'Running' }],
    ['a field that goes', { phase: 'Failed', message: 'x' }, { phase: 'Failed' }, { message: null }],
    [
      'a first status',
      undefined,
      { phase: 'Pending', podIPs: [{ ip: 'a' }] },
      { phase: 'Pending', podIPs: [{ ip: 'a' }] },
    ],
    [
      'a list that the server would merge',
      { podIPs: [{ ip: 'a' }] },
      { podIPs: [{ ip: 'b' }] },
      { podIPs: [{ $patch: 'replace' }, { ip: 'b' }] },
    ],
    [
      'what others own stays',
      { nominatedNodeName: 'n', conditions: [{ type: 'example.com/gate', status: 'True' }] },
      { conditions: [] },
      undefined,
    ],
    [
      'a condition that no longer has a reason',
      { conditions: [{ type: 'Ready', status: 'False', reason: 'r', message: 'm', lastTransitionTime: time }] },
      { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }] },
      { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time, reason: null, message: null }] },
    ],
    [
      'a condition that is over',
      {
        conditions: [
          { type: 'PodResizePending', status: 'True', reason: 'Deferred', lastTransitionTime: time },
          { type: 'Ready', status: 'True', lastTransitionTime: time },
        ],
      },
      { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }] },
      { conditions: [{ type: 'PodResizePending', $patch: 'delete' }] },
    ],
    [
      'only the condition that changed',
      {
        conditions: [
          { type: 'Ready', status: 'True', lastTransitionTime: time, lastProbeTime: null as never },
          { type: 'Initialized', status: 'False', lastTransitionTime: time },
        ],
      },
      {
        conditions: [
          { type: 'Ready', status: 'True', lastTransitionTime: time },
          { type: 'Initialized', status: 'True', lastTransitionTime: time },
        ],
      },
      { conditions: [{ type: 'Initialized', status: 'True', lastTransitionTime: time }] },
    ],
  ])('%s', (_name, current, wanted, patch) => {
    expect(statusPatch(current, wanted)).toEqual(patch)
  })

  const condition: fc.Arbitrary<PodCondition> = fc.record(
    {
      type: fc.constantFrom('Ready', 'ContainersReady', 'Initialized'),
      status: fc.constantFrom('True', 'False'),
      reason: fc.string({ maxLength: 3 }),
      message: fc.string({ maxLength: 3 }),
    },
    { requiredKeys: ['type', 'status'] },
  )
  const status: fc.Arbitrary<PodStatus> = fc.record(
    {
      phase: fc.constantFrom('Pending', 'Running', 'Failed'),
      reason: fc.string({ maxLength: 3 }),
      podIP: fc.constantFrom('a', 'b'),
      podIPs: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')).map((ips) => ips.map((ip) => ({ ip }))),
      containerStatuses: fc.array(
        fc.record({
          name: fc.constantFrom('x', 'y'),
          ready: fc.boolean(),
          restartCount: fc.nat(2),
          image: fc.constant('i'),
          imageID: fc.constant(''),
        }),
        { maxLength: 2 },
      ),
      conditions: fc.uniqueArray(condition, { selector: ({ type }) => type }),
    },
    { requiredKeys: [] },
  )

  test('what a server makes of the patch is what was wanted, and nothing is left to patch', () => {
    fc.assert(
      fc.property(status, status, (current, wanted) => {
        // Conditions of ours never go away once they are there.
        const all = { ...wanted, conditions: completed(current, wanted) }
        const merged = strategicMerge(current, statusPatch(current, all) ?? {})
        expect(statusPatch(merged, all)).toBeUndefined()
      }),
    )
  })

  function completed(current: PodStatus, wanted: PodStatus): PodCondition[] {
    const conditions = wanted.conditions ?? []
    const missing = (current.conditions ?? []).filter(({ type }) => !conditions.some((each) => each.type === type))
    return [...conditions, ...missing]
  }

  /** As the API server does for a Pod's status: conditions by type, addresses by ip, other lists as a whole. */
  function strategicMerge(current: PodStatus, patch: Record<string, unknown>): PodStatus {
    const merged: Record<string, unknown> = { ...current }
    for (const [field, value] of Object.entries(patch)) {
      if (value === null) delete merged[field]
      else if (field === 'conditions') merged[field] = mergeList(current.conditions ?? [], value as object[], 'type')
      else if (field === 'podIPs') merged[field] = mergeList(current.podIPs ?? [], value as object[], 'ip')
      else merged[field] = value
    }
    return merged as PodStatus
  }

  function mergeList(current: readonly object[], patch: readonly object[], key: string): object[] {
    const replaces = patch.some((item) => '$patch' in item)
    const result = new Map<unknown, object>(replaces ? [] : current.map((item) => [item[key as never], item]))
    for (const item of patch) {
      if ('$patch' in item) continue
      const known = result.get(item[key as never])
      const merged = Object.entries({ ...known, ...item }).filter(([, value]) => value !== null)
      result.set(item[key as never], Object.fromEntries(merged))
    }
    return [...result.values()]
  }
})
