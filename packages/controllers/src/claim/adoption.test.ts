import { LABELS, type Sandbox } from '@caisson/api'
import { joinKey } from '@caisson/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Adoption, type Asker, createAdoption } from './adoption.ts'
import { type Progress, poolOfMember } from './member.ts'

const NAMES = ['s1', 's2', 's3', 's4']
const CLAIMS = ['c1', 'c2', 'c3']
const POOLS = ['p1', 'p2']

function member(
  name: string,
  { pool, progress, version }: { pool: string; progress: Progress; version: number },
): Sandbox {
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: {
      name,
      namespace: 'n',
      uid: `${name}-${version}`,
      labels: { [LABELS.warmPool]: 'h', [LABELS.templateRefHash]: 'h' },
      ownerReferences: [
        {
          apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
          kind: 'SandboxWarmPool',
          name: pool,
          uid: pool,
          controller: true,
        },
      ],
    },
    spec: { podTemplate: { spec: { containers: [] } } },
    status: {
      ...(progress !== 'starting' && { podIPs: ['10.0.0.1'], nodeName: 'node' }),
      conditions: [
        {
          type: 'Ready',
          status: progress === 'ready' ? 'True' : 'False',
          reason: 'x',
          message: '',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    },
  }
}

type Step =
  | { do: 'put'; name: string; pool: string; progress: Progress; version: number }
  | { do: 'lose' | 'delete'; name: string }
  /** What the cache says is told only later, or twice. */
  | { do: 'tell'; name: string }
  | { do: 'ask'; claim: string; pool: string; picky: boolean }
  | { do: 'assign'; claim: string }
  | { do: 'transfer' | 'release'; claim: string }
  | { do: 'restart' }

const name = fc.constantFrom(...NAMES)
const claim = fc.constantFrom(...CLAIMS)
const pool = fc.constantFrom(...POOLS)
const progress = fc.constantFrom<Progress>('starting', 'running', 'ready')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('put' as const), name, pool, progress, version: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ do: fc.constantFrom('lose' as const, 'delete' as const), name }),
  fc.record({ do: fc.constant('tell' as const), name }),
  fc.record({ do: fc.constant('ask' as const), claim, pool, picky: fc.boolean() }),
  fc.record({ do: fc.constant('assign' as const), claim }),
  fc.record({ do: fc.constantFrom('transfer' as const, 'release' as const), claim }),
  fc.record({ do: fc.constant('restart' as const) }),
)

/** The caches, what is written in claims, and what has been offered to whom. */
function createWorld() {
  const cache = new Map<string, Sandbox>()
  /** By claim: the key of the Sandbox that was written down. */
  const written = new Map<string, string>()
  const offered = new Map<string, { key: string; object: string | undefined; poolUid: string }>()
  const called: string[] = []
  let time = 0
  const asker = (uid: string): Asker => ({ uid, key: joinKey('n', uid) })
  const start = (): Adoption => {
    const adoption = createAdoption({
      find: (key) => cache.get(key),
      assignee: ({ metadata }) => {
        const [uid] = [...written].find(([, key]) => key === joinKey('n', metadata.name ?? '')) ?? []
        return uid === undefined ? undefined : asker(uid)
      },
      call: (key) => void called.push(key),
      now: () => ++time,
    })
    for (const sandbox of cache.values()) adoption.seen(sandbox)
    return adoption
  }
  return { cache, written, offered, called, asker, start }
}

/** A world in which members of one pool come up. */
function createPool() {
  const world = createWorld()
  const adoption = world.start()
  const put = (name: string, progress: Progress): void => {
    const sandbox = member(name, { pool: 'p1', progress, version: 1 })
    world.cache.set(joinKey('n', name), sandbox)
    adoption.seen(sandbox)
  }
  return { ...world, adoption, put }
}

test('whatever happens in whatever order, no member is offered to two, and none is lost', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { cache, written, offered, called, asker, start } = createWorld()
      let adoption = start()
      const asked = new Map<string, { pool: string; picky: boolean }>()
      const ask = (claim: string, pool: string, picky: boolean): void => {
        // A claim forgets what was written down for it of another pool before it asks.
        const assigned = cache.get(written.get(claim) ?? '')
        if (assigned && poolOfMember(assigned)?.uid !== pool) written.delete(claim)
        const acceptable = picky ? ({ metadata }: Sandbox) => metadata.name !== 's1' : undefined
        const offer = adoption.offer(asker(claim), joinKey('n', pool), acceptable)
        offered.delete(claim)
        asked.set(claim, { pool, picky })
        if (offer.kind !== 'member') return
        const key = joinKey('n', offer.sandbox.metadata.name ?? '')
        expect(poolOfMember(offer.sandbox)?.uid).toBe(pool)
        expect([...offered.values()].map((other) => other.key)).not.toContain(key)
        for (const [other, assigned] of written) if (assigned === key) expect(other).toBe(claim)
        offered.set(claim, { key, object: offer.sandbox.metadata.uid, poolUid: pool })
      }
      /** As a claim's pass does. What was called may call others in its turn, each once. */
      const answerCalls = (): void => {
        for (let turns = 0; called.length > 0; turns++) {
          expect(turns).toBeLessThan(20)
          const claim = called.shift()?.slice('n/'.length) ?? ''
          const { pool, picky } = asked.get(claim) ?? { pool: '', picky: false }
          ask(claim, pool, picky)
        }
      }
      const tell = (name: string): void => {
        const sandbox = cache.get(joinKey('n', name))
        if (sandbox) adoption.seen(sandbox)
      }
      for (const each of steps) {
        if (each.do === 'put') {
          cache.set(joinKey('n', each.name), member(each.name, each))
          tell(each.name)
        } else if (each.do === 'tell') tell(each.name)
        else if (each.do === 'lose') {
          const sandbox = cache.get(joinKey('n', each.name))
          if (sandbox) cache.set(joinKey('n', each.name), { ...sandbox, metadata: { ...sandbox.metadata, labels: {} } })
          tell(each.name)
        } else if (each.do === 'delete') {
          const sandbox = cache.get(joinKey('n', each.name))
          cache.delete(joinKey('n', each.name))
          if (sandbox) adoption.gone(sandbox)
        } else if (each.do === 'ask') ask(each.claim, each.pool, each.picky)
        else if (each.do === 'assign') {
          const key = offered.get(each.claim)?.key
          if (key !== undefined && cache.has(key)) {
            written.set(each.claim, key)
            adoption.hold(asker(each.claim), key)
          }
        } else if (each.do === 'transfer') {
          const key = written.get(each.claim)
          const sandbox = key === undefined ? undefined : cache.get(key)
          if (key === undefined || !sandbox) continue
          cache.set(key, { ...sandbox, metadata: { ...sandbox.metadata, labels: {}, ownerReferences: [] } })
          tell(sandbox.metadata.name ?? '')
          written.delete(each.claim)
        } else if (each.do === 'release') {
          written.delete(each.claim)
          offered.delete(each.claim)
          adoption.release(each.claim)
        } else {
          offered.clear()
          called.length = 0
          adoption = start()
        }
        // What is not the same object any more, or of another pool, is not what was offered.
        for (const [uid, { key, object, poolUid }] of offered) {
          const sandbox = cache.get(key)
          const same = sandbox && sandbox.metadata.uid === object && poolOfMember(sandbox)?.uid === poolUid
          if (!same) offered.delete(uid)
        }
        answerCalls()
      }
      // Everything that is told once more can be had by somebody, but for what was written down.
      for (const name of NAMES) tell(name)
      for (const uid of CLAIMS) if (!written.has(uid)) adoption.release(uid)
      const had = new Set<string>()
      for (const pool of POOLS)
        for (let index = 0; index <= NAMES.length; index++) {
          const offer = adoption.offer(asker(`late-${pool}-${index}`), joinKey('n', pool))
          if (offer.kind === 'member') had.add(joinKey('n', offer.sandbox.metadata.name ?? ''))
        }
      const free = [...cache].filter(([key, sandbox]) => {
        const ready = sandbox.status?.podIPs !== undefined
        return poolOfMember(sandbox)?.uid !== undefined && ready && ![...written.values()].includes(key)
      })
      for (const pool of POOLS) {
        const counted = [...cache].filter(([key, sandbox]) => {
          const offered = sandbox.status?.podIPs !== undefined || [...written.values()].includes(key)
          return poolOfMember(sandbox)?.uid === pool && offered
        })
        expect(adoption.supply(joinKey('n', pool))).toBe(counted.length)
      }
      expect([...had].sort()).toEqual(free.map(([key]) => key).sort())
    }),
    { numRuns: 2_000 },
  )
})

test('a claim waits where a member starts that no other waits for, and is offered what comes up in its turn', () => {
  const { called, asker, cache, adoption, put } = createPool()
  const offers = (...uids: string[]) => uids.map((uid) => adoption.offer(asker(uid), 'n/p1'))
  put('s1', 'starting')
  put('s2', 'starting')
  const starting = { kind: 'starting', movedAt: 1 }
  expect(offers('c1', 'c2', 'c3')).toEqual([starting, starting, { kind: 'none' }])
  adoption.release('c1')
  // It keeps its place when it is looked at again.
  expect(offers('c3', 'c2')).toEqual([starting, starting])
  put('s2', 'ready')
  expect(called).toEqual(['n/c2'])
  // Nobody takes it who comes before the other has asked.
  expect(offers('c4')).toEqual([{ kind: 'none' }])
  put('s1', 'running')
  expect(called).toEqual(['n/c2', 'n/c3'])
  expect(offers('c4', 'c2', 'c3')).toEqual([
    { kind: 'none' },
    { kind: 'member', sandbox: cache.get('n/s2') },
    { kind: 'member', sandbox: cache.get('n/s1') },
  ])
})

test('says when a member came up last', () => {
  const { asker, adoption, put } = createPool()
  for (const name of ['s1', 's2', 's3']) put(name, 'starting')
  for (const [uid, movedAt] of [
    ['c1', 1],
    ['c2', 1],
  ] as const)
    expect(adoption.offer(asker(uid), 'n/p1')).toEqual({ kind: 'starting', movedAt })
  put('s1', 'ready')
  put('s1', 'ready')
  expect(adoption.offer(asker('c2'), 'n/p1')).toEqual({ kind: 'starting', movedAt: 2 })
})

test('a member that is not acceptable goes from nobody to nobody', () => {
  const { called, asker, adoption, put } = createPool()
  for (const name of ['s1', 's2', 's3']) put(name, 'starting')
  const none = () => false
  for (const uid of ['c1', 'c2']) expect(adoption.offer(asker(uid), 'n/p1', none)).toMatchObject({ kind: 'starting' })
  put('s1', 'ready')
  expect(adoption.offer(asker('c1'), 'n/p1', none)).toMatchObject({ kind: 'starting' })
  expect(called).toEqual(['n/c1'])
  put('s1', 'ready')
  expect(called).toEqual(['n/c1', 'n/c2'])
})

test('a claim that has a Sandbox of its own waits for none, and what it was offered is the next one’s', () => {
  const { called, asker, cache, adoption, put } = createPool()
  for (const name of ['s1', 's2', 's3']) put(name, 'starting')
  for (const uid of CLAIMS) adoption.offer(asker(uid), 'n/p1')
  adoption.hold(asker('c1'), 'n/own')
  put('s1', 'ready')
  expect(called).toEqual(['n/c2'])
  adoption.hold(asker('c2'), 'n/own too')
  expect(called).toEqual(['n/c2', 'n/c3'])
  expect(adoption.offer(asker('c3'), 'n/p1')).toEqual({ kind: 'member', sandbox: cache.get('n/s1') })
})

test('a Sandbox elsewhere that names a pool as its owner is no member of it', () => {
  const { asker, cache, adoption } = createPool()
  const sandbox = member('s1', { pool: 'p1', progress: 'ready', version: 1 })
  const foreign = { ...sandbox, metadata: { ...sandbox.metadata, namespace: 'elsewhere' } }
  cache.set('elsewhere/s1', foreign)
  adoption.seen(foreign)
  expect([adoption.offer(asker('c1'), 'n/p1').kind, adoption.supply('n/p1')]).toEqual(['none', 0])
})
