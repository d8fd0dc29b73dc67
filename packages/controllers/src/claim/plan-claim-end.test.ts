import type { Condition, Sandbox, SandboxClaim } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { foreign, idsOf, NOW, owned, plan, ready, withSpec } from './observed-claim-fixtures.ts'

describe('the end', () => {
  const expiring = withSpec({ lifecycle: { shutdownTime: '2026-01-01T00:01:00Z' } })
  const finished: Condition = {
    ...ready('True', 'PodSucceeded'),
    type: 'Finished',
    lastTransitionTime: '2026-01-01T00:00:50Z',
  }

  test('is looked for at its moment', () => {
    expect(plan({ claim: expiring, namesake: owned }, NOW - 1).requeueAt).toBe(NOW)
  })

  test('first it is said, then the Sandbox goes, then the status forgets it', () => {
    const said = plan({ claim: { ...expiring, status: { sandbox: { name: 'pool-1' } } }, bound: owned })
    expect([said.writes, said.requeueAt]).toEqual([[], NOW])
    expect(said.status).toMatchObject({
      conditions: [{ reason: 'ClaimExpired', message: 'Claim expired. Sandbox cleanup initiated.' }],
      sandbox: { name: 'pool-1' },
    })
    const after: SandboxClaim = { ...expiring, status: said.status ?? {} }
    expect(idsOf({ claim: after, bound: owned })).toEqual(['delete Sandbox pool-1'])
    expect(plan({ claim: after }).status).toEqual({ conditions: said.status?.conditions })
  })

  test("of another's Sandbox nothing is deleted, and the status says so", () => {
    const after: SandboxClaim = {
      ...expiring,
      status: { conditions: [ready('False', 'ClaimExpired')], sandbox: { name: 'pool-1' } },
    }
    const { writes, status } = plan({ claim: after, bound: foreign })
    expect(writes).toEqual([])
    expect(status).toMatchObject({
      conditions: [
        {
          reason: 'ClaimExpired',
          message:
            'Claim expired. sandbox not owned by this claim: sandbox "pool-1" is not owned by claim "mine"; deletion skipped.',
        },
      ],
    })
    expect(status?.sandbox).toBeUndefined()
  })

  test.each(['Delete', 'DeleteForeground'] as const)('%s', (shutdownPolicy) => {
    const after: SandboxClaim = {
      ...withSpec({ lifecycle: { shutdownTime: '2026-01-01T00:01:00Z', shutdownPolicy } }),
      status: { conditions: [ready('False', 'ClaimExpired')] },
    }
    expect(plan({ claim: after }).writes).toMatchObject([
      {
        id: 'delete SandboxClaim mine',
        propagation: shutdownPolicy === 'Delete' ? 'Background' : 'Foreground',
        event: { reason: 'ClaimExpired', message: `Deleting Claim (ShutdownPolicy=${shutdownPolicy})` },
      },
    ])
  })

  test('the time to live counts from when the Sandbox finished, and zero ends it in the same breath', () => {
    const done: Sandbox = { ...owned, status: { conditions: [ready('False', 'PodSucceeded'), finished] } }
    const ttl = (ttlSecondsAfterFinished: number) =>
      plan({ claim: withSpec({ lifecycle: { ttlSecondsAfterFinished } }), namesake: done })
    expect(ttl(60).requeueAt).toBe(Date.parse('2026-01-01T00:01:50Z'))
    expect(ttl(0)).toMatchObject({
      status: { conditions: [{ type: 'Finished' }, { type: 'Ready', reason: 'ClaimExpired' }] },
      statusEvents: [{ reason: 'ClaimExpired', message: 'Claim expired' }],
      requeueAt: NOW,
    })
  })

  test('a deadline counts until the claim has been Ready once', () => {
    const hasty = withSpec({ readyDeadlineSeconds: 1 })
    expect(plan({ claim: hasty, namesake: owned }).status?.conditions).toMatchObject([{ status: 'True' }])
    const pending: Sandbox = { ...owned, status: { conditions: [ready('False', 'DependenciesNotReady')] } }
    expect(plan({ claim: hasty, namesake: pending })).toMatchObject({
      writes: [{ id: 'delete Sandbox pool-1' }],
      status: { conditions: [{ reason: 'DeadlineExceeded' }] },
      statusEvents: [{ reason: 'DeadlineExceeded' }],
      retry: false,
    })
    const annotations = { 'agents.x-k8s.io/claim-first-ready-at': 'then' }
    const once = {
      ...hasty,
      metadata: { ...hasty.metadata, annotations: { ...hasty.metadata.annotations, ...annotations } },
    }
    expect(plan({ claim: once, namesake: pending }).status?.conditions).toMatchObject([
      { reason: 'DependenciesNotReady' },
    ])
  })
})

test('a deadline that a claim is given once it is Ready has been kept, whatever becomes of its Sandbox', () => {
  const late = { ...withSpec({ readyDeadlineSeconds: 1 }), status: { conditions: [ready('True')] } }
  const [noted] = plan({ claim: late, namesake: owned }).writes
  const annotations = { 'agents.x-k8s.io/claim-first-ready-at': '2026-01-01T00:01:00.000000Z' }
  expect(noted).toMatchObject({ id: 'patch SandboxClaim mine annotate', patch: { metadata: { annotations } } })
})

test('a deadline ends the waiting too', () => {
  const hasty = withSpec({ readyDeadlineSeconds: 1 })
  const waiting = { claim: hasty, policy: undefined }
  expect(plan(waiting, NOW - 1)).toMatchObject({ status: undefined, requeueAt: NOW })
  const over = plan(waiting)
  expect(over).toMatchObject({ writes: [], status: { conditions: [{ reason: 'DeadlineExceeded' }] } })
  expect(over.requeueAt).toBeUndefined()
})
