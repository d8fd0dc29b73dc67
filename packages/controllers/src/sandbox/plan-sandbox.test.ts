import type { ObjectMeta, OperatingMode, OwnerReference, Sandbox, SandboxSpec, ShutdownPolicy } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sameJson } from '../engine/json-difference.ts'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aClaim,
  aPod,
  applied,
  aReadyPod,
  aSandbox,
  aService,
  conditionsOf,
  HASH,
  NOW,
  OWNER,
  observe,
  plan,
  SCHEDULED,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'

const hashLabel = { 'agents.x-k8s.io/sandbox-name-hash': HASH }

/** A Sandbox with the status that it has once `observed` has been seen. */
function settled(observed: ObservedSandbox): ObservedSandbox {
  const status = plan(observed).status
  return { ...observed, sandbox: { ...observed.sandbox, ...(status && { status }) } }
}

describe('the status', () => {
  test('of a Sandbox that is ready', () => {
    const { conditions, ...status } = plan(observe({ pods: [aReadyPod()], service: aService() })).status ?? {}
    expect(conditions).toHaveLength(3)
    expect(status).toEqual({
      selector: `agents.x-k8s.io/sandbox-name-hash=${HASH}`,
      podIPs: ['10.0.0.5'],
      nodeName: 'node-1',
      service: 'box',
      serviceFQDN: 'box.ns.svc.cluster.local',
    })
  })

  test('without its Pod has no address and no node, but still finds it by the same selector', () => {
    const before = settled(observe({ pods: [aReadyPod()] }))
    const { conditions: _conditions, ...status } = plan({ ...before, pods: [] }).status ?? {}
    expect(status).toEqual({ selector: `agents.x-k8s.io/sandbox-name-hash=${HASH}` })
  })

  test("says nothing about another's Pod in its place", () => {
    const sandbox = aSandbox({ spec: { operatingMode: 'Suspended' } })
    const given = plan(observe({ sandbox, pods: [aReadyPod({ ownerReferences: [STRANGER] })] })).status
    expect([given?.podIPs, given?.nodeName, given?.selector]).toEqual([
      undefined,
      undefined,
      `agents.x-k8s.io/sandbox-name-hash=${HASH}`,
    ])
  })
})

// What is stored when each version's client does each thing, and what comes of it. `replicas` decides where it is there;
// a typed v1beta1 client does not know it and drops it on an update.
describe('replicas and operatingMode', () => {
  type Row = [version: string, verb: string, stored: Partial<SandboxSpec>, runs: boolean, writes: string[]]
  const setMode = 'patch Sandbox box operatingMode'
  test.each<Row>([
    ['v1beta1', 'create', { operatingMode: 'Running' }, true, []],
    ['v1beta1', 'create suspended', { operatingMode: 'Suspended' }, false, []],
    ['v1beta1', 'update to Suspended', { operatingMode: 'Suspended' }, false, []],
    ['v1beta1', 'typed update that drops replicas 0', { operatingMode: 'Suspended' }, false, []],
    ['v1beta1', 'typed update that drops replicas 1', { operatingMode: 'Running' }, true, []],
    ['v1beta1', 'patch to Running beside replicas 0', { operatingMode: 'Running', replicas: 0 }, false, [setMode]],
    ['v1beta1', 'patch to Suspended beside replicas 1', { operatingMode: 'Suspended', replicas: 1 }, true, [setMode]],
    ['v1alpha1', 'create without replicas', { operatingMode: 'Running' }, true, []],
    ['v1alpha1', 'create with replicas 1', { operatingMode: 'Running', replicas: 1 }, true, []],
    ['v1alpha1', 'create with replicas 0', { operatingMode: 'Running', replicas: 0 }, false, [setMode]],
    ['v1alpha1', 'scale to 0', { operatingMode: 'Running', replicas: 0 }, false, [setMode]],
    ['v1alpha1', 'scale back to 1', { operatingMode: 'Suspended', replicas: 1 }, true, [setMode]],
    ['v1alpha1', 'removal of replicas 0', { operatingMode: 'Suspended' }, false, []],
    ['v1alpha1', 'update of anything else', { operatingMode: 'Suspended', replicas: 0 }, false, []],
    ['a schema without defaults', 'create', {}, true, []],
    ['a schema without operatingMode', 'create with replicas 0', { replicas: 0 }, false, [setMode]],
  ])('%s: %s', (_version, _verb, stored, runs, writes) => {
    const { operatingMode: _mode, ...rest } = aSandbox().spec
    const sandbox: Sandbox = { ...aSandbox(), spec: { ...rest, ...stored } }
    const given = plan(observe({ sandbox }))
    expect(writesOf(given)).toEqual([...writes, ...(runs ? ['create Pod box'] : [])])
    expect(given.status?.replicas).toBe(stored.replicas === undefined ? undefined : 0)
    const later = plan(observe({ sandbox, pods: [aReadyPod()] }))
    expect(writesOf(later)).toEqual([...writes, ...(runs ? [] : ['delete Pod box'])])
    expect(later.status?.replicas).toBe(stored.replicas === undefined ? undefined : 1)
  })

  test('operatingMode follows only if replicas is still there', () => {
    const sandbox = aSandbox({ spec: { replicas: 0 } })
    expect(plan(observe({ sandbox })).writes).toMatchObject([
      { patch: { metadata: { uid: 'sandbox-uid', resourceVersion: '10' }, spec: { operatingMode: 'Suspended' } } },
    ])
  })
})

describe('a status that is worth a write', () => {
  type Row = [name: string, before: ObservedSandbox | undefined, now: ObservedSandbox, mayWait: number | 'for-ever']
  const pending = observe({ pods: [aPod()] })
  const bound = observe({ pods: [aPod({}, { phase: 'Pending' }, 'node-1')] })
  const scheduled = observe({ pods: [aPod({}, { phase: 'Pending', conditions: [SCHEDULED] }, 'node-1')] })
  const running = observe({ pods: [aPod({}, { phase: 'Running', conditions: [SCHEDULED] }, 'node-1')] })
  const stuck = observe({
    pods: [
      aPod({}, { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] }),
    ],
  })
  const ready = observe({ pods: [aReadyPod()] })
  const edited = observe({ sandbox: aSandbox({ metadata: { generation: 4 } }), pods: [aReadyPod()] })
  const failed = observe({ pods: [aPod({}, { phase: 'Failed' })] })
  const suspended = observe({ sandbox: aSandbox({ spec: { operatingMode: 'Suspended' } }) })
  const foreignPod = aPod({ ownerReferences: [STRANGER] })
  const pool = { apiVersion: 'extensions.agents.x-k8s.io/v1beta1', kind: 'SandboxWarmPool', name: 'pool', uid: 'pool' }
  const member = aSandbox({ metadata: { ownerReferences: [{ ...pool, controller: true }] } })
  const refusal = { id: 'create Pod box', message: 'no', permanent: true, namespaceTerminating: false }
  test.each<Row>([
    ['the start may wait for its end', undefined, pending, 1000],
    ['so may its progress', pending, scheduled, 1000],
    ['the node alone waits for anything else', pending, bound, 'for-ever'],
    ['ready is said at once', scheduled, ready, 0],
    ['ready at first sight too', undefined, ready, 0],
    ['what keeps it from being scheduled is said at once', pending, stuck, 0],
    ['a failure too', running, failed, 0],
    ['no longer ready too', ready, running, 0],
    ['suspended too', undefined, suspended, 0],
    ['resuming too', suspended, pending, 0],
    ['an error too', undefined, observe({ pods: [foreignPod] }), 0],
    ["one of a pool's member may pass", undefined, observe({ sandbox: member, pods: [foreignPod] }), 1000],
    ['but not where nothing is tried again', undefined, observe({ sandbox: member, failures: [refusal] }), 0],
    ['the start waits for longer while claims come', pending, { ...scheduled, claimsComing: true }, 5000],
    ['of another generation alone too', ready, edited, 0],
    ['unless claims come meanwhile', ready, { ...edited, claimsComing: true }, 5000],
    ['who wait for nothing else', ready, { ...running, claimsComing: true }, 0],
  ])('%s', (_name, before, now, mayWait) => {
    const status = before && plan(before).status
    const sandbox = { ...now.sandbox, ...(status && { status }) }
    expect(plan({ ...now, sandbox }).statusMayWait).toBe(mayWait)
  })
})

describe('events', () => {
  const reasons = (observed: ObservedSandbox) =>
    plan(observed).statusEvents.map(({ type, reason }) => `${type} ${reason}`)
  const suspended = aSandbox({ spec: { operatingMode: 'Suspended' } })
  test.each<[name: string, observed: ObservedSandbox, events: string[]]>([
    ['ready', observe({ pods: [aReadyPod()] }), ['Normal SandboxReady']],
    ['still ready', settled(observe({ pods: [aReadyPod()] })), []],
    ['suspended', observe({ sandbox: suspended }), ['Normal SandboxSuspended']],
    ['still suspended', settled(observe({ sandbox: suspended })), []],
    ['suspending', observe({ sandbox: suspended, pods: [aPod()] }), []],
    ['succeeded', observe({ pods: [aPod({}, { phase: 'Succeeded' })] }), ['Normal PodSucceeded']],
    ['failed', observe({ pods: [aPod({}, { phase: 'Failed' })] }), ['Warning PodFailed']],
    ['still failed', settled(observe({ pods: [aPod({}, { phase: 'Failed' })] })), []],
    ['two Pods', observe({ pods: [aPod(), aPod({ name: 'b', uid: 'b' })] }), ['Warning MultiplePods']],
    ['still two Pods', settled(observe({ pods: [aPod(), aPod({ name: 'b', uid: 'b' })] })), []],
    ['starting', observe({ pods: [aPod()] }), []],
  ])('%s', (_name, observed, events) => {
    expect(reasons(observed)).toEqual(events)
  })
})

describe('a spec that a schema of somebody else let through', () => {
  test.each<[name: string, spec: unknown, message: string]>([
    ['none', undefined, 'spec: Required value'],
    ['empty', {}, 'spec.podTemplate: Required value'],
  ])('%s is said, and what exists is left alone', (_name, spec, message) => {
    const sandbox = { ...aSandbox(), spec: spec as SandboxSpec }
    const given = plan(observe({ sandbox, pods: [aReadyPod()], service: aService() }))
    expect(writesOf(given)).toEqual([])
    expect(conditionsOf(given)).toEqual([`Ready=False/InvalidConfiguration: ${message}`])
    expect(given.retry).toBe(false)
  })
})

describe('a namespace that goes away', () => {
  test('is no error: nothing is written, and a look later does', () => {
    const failures = [{ id: 'create Pod box', message: 'forbidden', permanent: false, namespaceTerminating: true }]
    expect(plan(observe({ failures }))).toEqual({
      writes: [],
      status: undefined,
      statusEvents: [],
      statusMayWait: 0,
      retry: false,
      requeueAt: NOW + 30_000,
    })
  })
})

describe('every plan', () => {
  const among = <T>(...values: T[]) => fc.constantFrom(...values)
  const labels = among<Record<string, string>>(
    {},
    hashLabel,
    { ...hashLabel, app: 'old' },
    { 'agents.x-k8s.io/adoptable': 'true' },
  )
  const metadata: fc.Arbitrary<ObjectMeta> = fc.record(
    {
      ownerReferences: among<OwnerReference[]>([OWNER], [STRANGER], [], [{ ...OWNER, uid: 'older' }]),
      labels,
      annotations: among<Record<string, string>>({}, { 'agents.x-k8s.io/propagated-labels': 'app' }),
      deletionTimestamp: fc.constant('2026-01-01T11:59:59Z'),
    },
    { requiredKeys: ['ownerReferences', 'labels', 'annotations'] },
  )
  const pod = fc
    .record({
      metadata,
      name: among('box', 'older'),
      phase: among('Pending', 'Running', 'Succeeded', 'Failed'),
      ready: fc.boolean(),
    })
    .map(({ metadata, name, phase, ready }) => {
      const given = { name, uid: `${name}-uid`, ...metadata }
      return ready ? aReadyPod(given) : aPod(given, { phase })
    })
  const spec: fc.Arbitrary<Partial<SandboxSpec>> = fc.record(
    {
      operatingMode: among<OperatingMode>('Running', 'Suspended'),
      replicas: among(0, 1),
      service: fc.boolean(),
      shutdownPolicy: among<ShutdownPolicy>('Delete', 'Retain'),
      shutdownTime: among('2026-01-01T11:00:00Z', '2026-01-01T13:00:00Z'),
      volumeClaimTemplates: among([{ metadata: { name: 'data' }, spec: {} }]),
      podTemplate: among({ metadata: { labels: { app: 'x' } }, spec: { containers: [] } }),
    },
    { requiredKeys: [] },
  )
  const situation = fc
    .record({
      spec,
      annotations: among<Record<string, string>>({}, { 'agents.x-k8s.io/pod-name': 'older' }),
      pods: fc.uniqueArray(pod, { maxLength: 2, selector: ({ metadata }) => metadata.name }),
      service: fc.option(
        metadata.map((given) => aService(given)),
        { nil: undefined },
      ),
      claim: fc.option(
        metadata.map((given) => aClaim(given)),
        { nil: undefined },
      ),
    })
    .map(({ spec, annotations, pods, service, claim }) => {
      const sandbox = aSandbox({ metadata: { annotations }, spec })
      return observe({ sandbox, pods, ...(service && { service }), claims: claim ? [claim] : [] })
    })

  /** Runs plans until one asks for nothing; the number of rounds that wrote something. */
  function converge(start: ObservedSandbox): { end: ObservedSandbox; rounds: number } {
    let observed = start
    for (let rounds = 0; rounds < 6; rounds++) {
      const given = plan(observed)
      const gone = given.writes.some(({ id }) => id === 'delete Sandbox box')
      if (gone)
        return {
          end: {
            ...observed,
            sandbox: { ...observed.sandbox, metadata: { ...observed.sandbox.metadata, deletionTimestamp: 'x' } },
          },
          rounds,
        }
      const next = applied(observed, given)
      if (!given.writes.length && sameJson(observed.sandbox.status, next.sandbox.status))
        return { end: observed, rounds }
      observed = next
    }
    throw new Error('the plans do not come to an end')
  }

  test('comes to rest: applied, it asks for nothing again', () => {
    fc.assert(
      fc.property(situation, (observed) => {
        const { end } = converge(observed)
        const again = plan(end)
        expect(writesOf(again)).toEqual([])
        if (again.status) expect(sameJson(again.status, end.sandbox.status)).toBe(true)
        expect(again.statusEvents).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })

  test('that is settled is the same again once its status is stored', () => {
    fc.assert(
      fc.property(situation, (start) => {
        let observed = start
        let given = plan(observed)
        for (let rounds = 0; given.writes.length && rounds < 6; rounds++) {
          observed = applied(observed, { ...given, status: undefined })
          given = plan(observed)
        }
        if (!given.settled) return
        const again = plan(applied(observed, given))
        const { status, statusEvents: _said, statusMayWait: _ms, ...rest } = given
        const { status: statusAgain, statusEvents, statusMayWait: _none, ...restAgain } = again
        expect(restAgain).toEqual(rest)
        expect(sameJson(statusAgain, status)).toBe(true)
        expect(statusEvents).toEqual([])
      }),
      { numRuns: 1000 },
    )
  })

  test('depends on what there is, not on the order in which it was seen', () => {
    fc.assert(
      fc.property(situation, (observed) => {
        const reversed = { ...observed, pods: [...observed.pods].reverse() }
        const strip = (given: ReturnType<typeof plan>) => ({ ...given, writes: writesOf(given).sort() })
        expect(strip(plan(reversed))).toEqual(strip(plan(observed)))
      }),
      { numRuns: 500 },
    )
  })

  test("never touches what is not the Sandbox's own, unless it may be adopted", () => {
    fc.assert(
      fc.property(situation, (observed) => {
        const strangers = [
          ...observed.pods,
          ...(observed.service ? [observed.service] : []),
          ...observed.claims.values(),
        ]
          .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid !== 'sandbox-uid'))
          .map(({ metadata }) => metadata.uid)
        for (const write of plan(observed).writes) {
          const uid =
            write.verb === 'delete' ? write.uid : write.verb === 'patch' ? write.patch.metadata.uid : undefined
          expect(strangers).not.toContain(uid)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('leaves what it was given as it was', () => {
    fc.assert(
      fc.property(situation, (observed) => {
        const before = structuredClone(observed)
        plan(observed)
        expect(observed).toEqual(before)
      }),
      { numRuns: 200 },
    )
  })
})
