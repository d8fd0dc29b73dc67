import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Random, seeded } from '../differential/script.ts'
import { checkHistory } from './check.ts'
import { ALL, type CorrectServer, createCorrectServer, LEFT, listing, RED, watching } from './correct-server.ts'
import type { History, Operation, Request, Seen } from './history.ts'

const KEYS = ['records/a/one', 'records/a/two', 'records/b/one']

function randomRequest(random: Random, value: string, revision: number): Request {
  const key = random.pick(KEYS)
  const content = { value, side: random.pick(['left', 'right', '']), colour: random.pick(['red', 'blue']) }
  const condition = random.chance(0.3) ? Math.max(2, revision - random.integer(3)) : undefined
  const verb = random.pick(['create', 'update', 'patch', 'delete', 'get'] as const)
  if (verb === 'get') return { verb, key }
  if (verb === 'create') return { verb, key, content }
  if (verb === 'delete') return { verb, key, revision: condition }
  return { verb, key, content, revision: condition }
}

/**
 * Requests that overlap, each done at some moment of its time or, where nobody was answered, perhaps never; watched from
 * the beginning, and listed at random.
 */
function randomHistory(random: Random): { server: CorrectServer; history: History } {
  const server = createCorrectServer()
  const { history } = server
  let at = 100
  const free = Array.from({ length: 4 }, () => 0)
  for (let index = 0; index < 120; index++) {
    // The moment at which it is done; the time round it belongs to a client that is free for so long.
    at += 1 + random.integer(10)
    const client = random.integer(free.length)
    const began = Math.max(free[client] as number, at - random.integer(40))
    if (began >= at) continue
    const request = randomRequest(random, `w${index}`, server.revision)
    const unanswered = random.chance(0.1)
    if (unanswered && random.chance(0.5)) {
      history.operations.push({
        client: `${client}`,
        began,
        ended: Infinity,
        request,
        outcome: { kind: 'unknown', reason: 'lost' },
      })
      continue
    }
    const outcome = server.perform(request)
    const ended = at + 0.5 + random.integer(40)
    free[client] = ended
    const operation: Operation = unanswered
      ? { client: `${client}`, began, ended: Infinity, request, outcome: { kind: 'unknown', reason: 'lost' } }
      : { client: `${client}`, began, ended, request, outcome }
    history.operations.push(operation)
    if (random.chance(0.1))
      history.listings.push(
        listing(server, {
          selection: random.pick([ALL, LEFT, RED]),
          revision: server.revision,
          limit: random.integer(3),
          began: at + 0.1,
        }),
      )
  }
  for (const selection of [ALL, LEFT, RED]) {
    const since = 1 + random.integer(server.revision)
    history.watchings.push(
      lately(watching(server, { selection, since: selection === ALL ? 1 : since, began: at + 100 })),
    )
    history.watchings.push(
      lately(watching(server, { selection, since: server.revision, began: at + 100, initial: 'unmarked' })),
    )
  }
  return { server, history }
}

/** All of it came after everything was done: then its times say nothing. */
function lately<T extends { entries: readonly { at: number }[]; began: number }>(watch: T): T {
  return { ...watch, entries: watch.entries.map((entry) => ({ ...entry, at: watch.began + 1 })) }
}

describe('of random histories the checker', () => {
  test('finds nothing in those of a correct server', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        expect(checkHistory(randomHistory(seeded(seed)).history)).toEqual([])
      }),
    )
  })

  test('finds every read of a state that had been replaced', () => {
    let broken = 0
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seeded(seed)
        const { history } = randomHistory(random)
        const stale = staleRead(history, random)
        if (!stale) return
        broken++
        const operations = history.operations.map((operation) => (operation === stale.of ? stale.read : operation))
        expect(checkHistory({ ...history, operations }).map(({ law }) => law)).toContain('linearizable')
      }),
    )
    expect(broken).toBeGreaterThan(20)
  })

  test('finds every event that is left out of a watch of everything', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seeded(seed)
        const { history } = randomHistory(random)
        const [all, ...others] = history.watchings
        if (!all || all.entries.length < 3) return
        const index = 1 + random.integer(all.entries.length - 2)
        const skipped = all.entries[index] as { object: Seen }
        const told = history.operations.some(
          ({ outcome }) => outcome.kind === 'seen' && outcome.object.revision === skipped.object.revision,
        )
        if (!told) return
        const watchings = [{ ...all, entries: all.entries.toSpliced(index, 1) }, ...others]
        expect(checkHistory({ ...history, watchings }).map(({ law }) => law)).toContain('reliable')
      }),
    )
  })
})

/** A read that shows what somebody had replaced, and was answered so, before it began. */
function staleRead({ operations }: History, random: Random): { of: Operation; read: Operation } | undefined {
  const candidates = operations.flatMap((read) => {
    if (read.request.verb !== 'get' || read.outcome.kind !== 'seen') return []
    const newest = read.outcome.object
    return operations
      .filter(
        ({ request, outcome }) =>
          request.verb !== 'get' &&
          outcome.kind === 'seen' &&
          outcome.object.key === newest.key &&
          outcome.object.revision < newest.revision &&
          operations.some(
            (later) =>
              later.ended < read.began &&
              later.request.verb !== 'get' &&
              later.outcome.kind === 'seen' &&
              later.outcome.object.key === newest.key &&
              later.outcome.object.revision > outcome.object.revision,
          ),
      )
      .map(({ outcome }) => ({ of: read, read: { ...read, outcome } }))
  })
  return candidates.length > 0 ? random.pick(candidates) : undefined
}
