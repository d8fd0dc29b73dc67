import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { TURN_MS } from '../fair-queue.ts'
import { DATABASE_VERSION, storeProblem } from './database.ts'
import { openStore } from './sqlite-store.ts'
import type { Store, StoreEvent } from './store.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function pod(namespace: string, name: string, value = 0): KubeObject {
  return { kind: 'Pod', apiVersion: 'v1', metadata: { name, namespace }, value }
}

/** Of an open file of this process. */
function descriptorOf(path: string): number {
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return (
        readlinkSync(`/proc/self/fd/${fd}`) === path &&
        /flags:\s+0?\d*0\n/.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))
      )
    } catch {
      return false
    }
  })
  return Number(found)
}

function work(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

const nameOf = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`

describe('openStore', () => {
  test('what was written is there after a restart, and revisions go on rising', async () => {
    const first = openStore({ directory })
    const written = await first.write((transaction) => transaction.put('pods', pod('a', 'one')))
    await first.write((transaction) => transaction.delete('pods', written))
    await first.write((transaction) => transaction.put('pods', pod('a', 'two', 7)))
    const { revision } = first
    await first[Symbol.asyncDispose]()

    await using second = openStore({ directory })
    expect([...second.list('pods')]).toEqual([
      { ...pod('a', 'two', 7), metadata: { name: 'two', namespace: 'a', resourceVersion: '4' } },
    ])
    expect(second.revision).toBe(revision)
    // What happened before the restart cannot be replayed.
    expect(second.subscribe('pods', revision - 1, () => undefined)).toBeUndefined()
    const next = await second.write((transaction) => transaction.put('pods', pod('a', 'three')))
    expect(Number(next.metadata.resourceVersion)).toBeGreaterThan(revision)
  })

  test('its files are private to the user', async () => {
    await using store = openStore({ directory: join(directory, 'state') })
    await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
    const modes = ['', 'state.db', 'state.db-wal'].map((name) => statSync(join(directory, 'state', name)).mode & 0o777)
    expect(modes).toEqual([0o700, 0o600, 0o600])
  })

  test('another process is refused while the first one runs', async () => {
    const store = openStore({ directory })
    expect(() => openStore({ directory })).toThrow(expect.objectContaining({ name: 'StoreError', code: 'locked' }))
    expect(await openInChild()).toBe('locked')
    await store[Symbol.asyncDispose]()
    expect(await openInChild()).toBe('open')
  })

  test('nothing is wrong with one that is not there, has nothing in it, or is open', async () => {
    expect([storeProblem(directory), readdirSync(directory)]).toEqual([undefined, []])
    writeFileSync(join(directory, 'state.db'), '')
    expect(storeProblem(directory)).toBeUndefined()
    await using _ = openStore({ directory })
    expect(storeProblem(directory)).toBeUndefined()
  })

  test('data of a newer program is refused', async () => {
    await openStore({ directory })[Symbol.asyncDispose]()
    const database = new DatabaseSync(join(directory, 'state.db'))
    database.exec(`PRAGMA user_version = ${DATABASE_VERSION + 1}`)
    database.close()
    expect(() => openStore({ directory })).toThrow(/has version 2, this program knows versions up to 1/)
  })

  test('a file that is no database is refused', () => {
    rmSync(join(directory, 'state.db'), { force: true })
    const database = new DatabaseSync(join(directory, 'state.db'))
    database.exec('CREATE TABLE objects (nonsense)')
    database.close()
    expect(() => openStore({ directory })).toThrow(expect.objectContaining({ name: 'StoreError', code: 'unreadable' }))
  })

  const NEXT = 'put a copy from before in its place, or move DIRECTORY away to begin without objects'

  test.each<[what: string, damage: (file: string) => void, message: string]>([
    [
      'that is none',
      (file) => writeFileSync(file, 'nonsense'.repeat(500)),
      `is damaged (file is not a database): ${NEXT}`,
    ],
    [
      'whose pages of objects are overwritten',
      (file) => {
        const bytes = readFileSync(file)
        bytes.fill(0xff, bytes.length / 2)
        writeFileSync(file, bytes)
      },
      `is damaged (database disk image is malformed): ${NEXT}`,
    ],
    [
      'with an object that is no JSON',
      (file) => {
        using database = new DatabaseSync(file)
        database.exec("UPDATE objects SET object = '{' WHERE name = 'pod-7'")
      },
      `is damaged (Expected property name or '}' in JSON at position 1 (line 1 column 2)): ${NEXT}`,
    ],
    [
      'that is a directory',
      (file) => {
        rmSync(file)
        mkdirSync(file)
      },
      'cannot be opened (unable to open database file): see that it is a file, on a disk that works, in a directory that can be written to',
    ],
  ])('of a file %s, what to do is said, and it is let go of', async (_what, damage, message) => {
    const file = join(directory, 'state.db')
    {
      await using store = openStore({ directory })
      for (let index = 0; index < 100; index++)
        await store.write((transaction) => transaction.put('pods', pod('a', `pod-${index}`)))
    }
    expect([storeProblem(directory), readdirSync(directory)]).toEqual([undefined, ['state.db']])
    damage(file)
    expect(storeProblem(directory)).toMatch(new RegExp(`^${file} ${message.replace(/ \(.*/, '')} \\(.*\\): `))
    for (let time = 0; time < 2; time++)
      expect(() => openStore({ directory })).toThrow(
        expect.objectContaining({
          name: 'StoreError',
          code: 'unreadable',
          message: `${file} ${message.replace('DIRECTORY', directory)}`,
        }),
      )
  })

  async function openInChild(): Promise<string> {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('../testing/open-store.ts', import.meta.url)), directory],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    await once(child, 'close')
    return said
  }
})

describe('write', () => {
  test('a function that throws changes nothing and fails alone', async () => {
    await using store = openStore({ directory })
    const good = store.write((transaction) => transaction.put('pods', pod('a', 'good')))
    const bad = store.write((transaction) => {
      transaction.put('pods', pod('a', 'bad'))
      transaction.put('pods', pod('a', 'good', 9))
      throw new Error('no')
    })
    const after = store.write((transaction) => [...transaction.list('pods')].map(nameOf))
    await expect(bad).rejects.toThrow('no')
    expect(await after).toEqual(['a/good'])
    expect((await good).value).toBe(0)
    expect(store.get('pods', 'a', 'good')?.value).toBe(0)
  })

  test('what does not fit into a turn of the event loop is left to the next ones', async () => {
    await using store = openStore({ directory })
    let turn = 0
    let next = setImmediate(function count() {
      turn++
      next = setImmediate(count)
    })
    const turns = await Promise.all(Array.from({ length: 10 }, () => store.write(() => (work(TURN_MS + 1), turn))))
    clearImmediate(next)
    expect(new Set(turns).size).toBe(10)
  })

  test('writes that are quick are committed together', async () => {
    await using store = openStore({ directory })
    const revisions: number[] = []
    store.onCommit((revision) => revisions.push(revision))
    await Promise.all(
      ['a', 'b', 'c'].map((name) => store.write((transaction) => transaction.put('pods', pod(name, name)), name)),
    )
    expect(revisions).toEqual([4])
  })

  test('a queue of slow writes delays the write of another by one of them, and keeps its own order', async () => {
    await using store = openStore({ directory })
    const done: string[] = []
    const write = (share: string, name: string, ms: number): Promise<unknown> =>
      store.write(() => (work(ms), done.push(name)), share)
    const slow = Array.from({ length: 20 }, (_, index) => write('slow', `slow ${index}`, TURN_MS + 1))
    await slow[4]
    const before = done.length
    const answered = write('quick', 'quick', 0)
    await answered
    expect(done.slice(before).indexOf('quick')).toBeLessThanOrEqual(1)
    // Nor is its answer held back for what comes after it.
    expect(done.at(-1)).toBe('quick')
    await Promise.all(slow)
    expect(done.filter((name) => name !== 'quick')).toEqual(slow.map((_, index) => `slow ${index}`))
  })

  test('a listener that throws keeps nothing from the others, nor the store from going on', async () => {
    const reported: unknown[] = []
    await using store = openStore({ directory, report: (error) => reported.push(error) })
    const seen: string[] = []
    const error = new Error('no')
    store.subscribe('pods', store.revision, () => {
      throw error
    })
    store.onCommit(() => {
      throw error
    })
    store.subscribe('pods', store.revision, ({ object }) => seen.push(nameOf(object)))
    store.onCommit((revision) => seen.push(String(revision)))
    await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
    await store.write((transaction) => transaction.put('pods', pod('a', 'two')))
    expect(seen).toEqual(['a/one', '2', 'a/two', '3'])
    expect(reported).toEqual([error, error, error, error])
  })

  test('nothing is visible before it is committed', async () => {
    await using store = openStore({ directory })
    const seen: string[] = []
    store.subscribe('pods', store.revision, ({ object }) => seen.push(nameOf(object)))
    const write = store.write((transaction) => transaction.put('pods', pod('a', 'one')))
    expect([store.get('pods', 'a', 'one'), seen, store.revision]).toEqual([undefined, [], 1])
    await write
    expect([nameOf(store.get('pods', 'a', 'one') as KubeObject), seen, store.revision]).toEqual(['a/one', ['a/one'], 2])
  })

  test('inside of a write the store itself reads what is written', async () => {
    await using store = openStore({ directory })
    await store.write((transaction) => transaction.put('pods', pod('a', 'there', 1)))
    const [inside] = await Promise.all([
      store.write((transaction) => {
        transaction.put('pods', pod('b', 'new'))
        transaction.put('pods', pod('a', 'there', 2))
        return { value: store.get('pods', 'a', 'there')?.value, names: [...store.list('pods')].map(nameOf) }
      }),
      store.write((transaction) => transaction.delete('pods', store.get('pods', 'b', 'new') as KubeObject)),
    ])
    expect(inside).toEqual({ value: 2, names: ['a/there', 'b/new'] })
    expect([...store.list('pods')].map(nameOf)).toEqual(['a/there'])
  })

  test('a disk that fails is told to who writes, shows nothing of it, and nothing is written after it', async () => {
    const store = openStore({ directory })
    const kept = await store.write((transaction) => transaction.put('pods', pod('a', 'kept')))
    const heard: string[] = []
    store.subscribe('pods', store.revision, ({ object }) => heard.push(nameOf(object)))
    // In the place of its log, a device that cannot be synced: to the store, an error like that of a broken disk.
    const descriptor = descriptorOf(join(directory, 'state.db-wal'))
    closeSync(descriptor)
    expect(openSync('/dev/null', 'r')).toBe(descriptor)
    const said =
      'the disk failed (EINVAL: invalid argument, fdatasync): nothing more is written until the server is started again'
    await expect(store.write((transaction) => transaction.put('pods', pod('a', 'lost')))).rejects.toThrow(said)
    await expect(store.write((transaction) => transaction.put('pods', pod('a', 'late')))).rejects.toThrow(said)
    expect([[...store.list('pods')], heard, store.failure]).toEqual([[kept], [], said])
    await store[Symbol.asyncDispose]()
    await using again = openStore({ directory })
    expect([again.get('pods', 'a', 'kept')?.value, again.failure]).toEqual([0, undefined])
  })

  test('stored objects are frozen at every depth', async () => {
    await using store = openStore({ directory })
    const stored = await store.write((transaction) =>
      transaction.put('pods', { ...pod('a', 'one'), spec: { list: [{ deep: 1 }] } }),
    )
    expect(() => {
      ;(stored.spec as { list: { deep: number }[] }).list[0]!.deep = 2
    }).toThrow(TypeError)
  })

  test('lists come in the order of etcd', async () => {
    await using store = openStore({ directory })
    const names = ['team/b', 'team-a/a', 'team/a', 'team.b/a', 'a/z', 'team/a-b', 'team/a.b']
    await store.write((transaction) => {
      for (const each of names) {
        const [namespace, name] = each.split('/') as [string, string]
        transaction.put('pods', pod(namespace, name))
      }
    })
    const expected = ['a/z', 'team-a/a', 'team.b/a', 'team/a', 'team/a-b', 'team/a.b', 'team/b']
    expect([...store.list('pods')].map(nameOf)).toEqual(expected)
    await store.write((transaction) => transaction.put('pods', pod('team', 'a0')))
    expect([...store.list('pods', 'team')].map(nameOf)).toEqual(['team/a', 'team/a-b', 'team/a.b', 'team/a0', 'team/b'])
  })

  test('after the store is closed, writes are refused', async () => {
    const store = openStore({ directory })
    await store[Symbol.asyncDispose]()
    await expect(store.write(() => 1)).rejects.toThrow('shutting down')
  })
})

describe('the event window', () => {
  test('forgets the oldest events, and says so', async () => {
    await using store = openStore({ directory, window: { events: 3 } })
    for (let index = 0; index < 5; index++)
      await store.write((transaction) => transaction.put('pods', pod('a', `p${index}`)))
    expect(store.compactedRevision('pods')).toBe(3)
    expect(store.eventsAfter('pods', 2)).toBeUndefined()
    expect(store.listAt('pods', undefined, 2)).toBeUndefined()
    expect(store.eventsAfter('pods', 3)?.map(({ object }) => nameOf(object))).toEqual(['a/p2', 'a/p3', 'a/p4'])
    expect([...(store.listAt('pods', undefined, 3) ?? [])].map(nameOf)).toEqual(['a/p0', 'a/p1'])
    // Other resources keep theirs.
    expect(store.eventsAfter('services', 1)).toEqual([])
  })

  test('is bounded in bytes too', async () => {
    await using store = openStore({ directory, window: { bytes: 1000 } })
    for (let index = 0; index < 5; index++)
      await store.write((transaction) => transaction.put('pods', { ...pod('a', `p${index}`), text: 'x'.repeat(350) }))
    expect(store.eventsAfter('pods', store.revision - 2)).toHaveLength(2)
    expect(store.eventsAfter('pods', store.revision - 3)).toBeUndefined()
  })

  test('lasts five minutes, whatever the clock on the wall is set to', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] })
    try {
      await using store = openStore({ directory })
      const { revision } = store
      await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
      vi.setSystemTime(Date.now() + 3 * 3_600_000)
      vi.advanceTimersByTime(60_000)
      expect(store.eventsAfter('pods', revision)?.map(({ object }) => nameOf(object))).toEqual(['a/one'])
      vi.setSystemTime(Date.now() - 9 * 3_600_000)
      vi.advanceTimersByTime(300_000)
      expect(store.eventsAfter('pods', revision)).toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })

  test('lists as they were expire after five minutes also of what has not changed since', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] })
    try {
      await using store = openStore({ directory })
      await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
      const { revision } = store
      vi.advanceTimersByTime(600_000)
      expect([...(store.listAt('pods', undefined, revision) ?? [])].map(nameOf)).toEqual(['a/one'])
      await store.write((transaction) => transaction.put('leases', pod('a', 'lease')))
      vi.advanceTimersByTime(240_000)
      expect([...(store.listAt('pods', undefined, revision) ?? [])].map(nameOf)).toEqual(['a/one'])
      vi.advanceTimersByTime(120_000)
      expect(store.listAt('pods', undefined, revision)).toBeUndefined()
      // Nobody who watches has missed anything.
      expect(store.eventsAfter('pods', revision)).toEqual([])
    } finally {
      vi.useRealTimers()
    }
  })

  test('who subscribes while a commit is announced hears of it once', async () => {
    await using store = openStore({ directory })
    const heard: number[] = []
    store.subscribe('pods', store.revision, (event) => {
      if (event.revision === 2) store.subscribe('pods', 1, ({ revision }) => heard.push(revision))
    })
    await store.write((transaction) => {
      transaction.put('pods', pod('a', 'one'))
      transaction.put('pods', pod('a', 'two'))
    })
    await store.write((transaction) => transaction.put('pods', pod('a', 'three')))
    expect(heard).toEqual([2, 3, 4])
  })
})

type Operation = { kind: 'put' | 'delete' | 'fail'; name: string; value: number; joins: boolean }

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom('put', 'put', 'delete', 'fail'),
    name: fc.constantFrom('a/x', 'a/y', 'a-b/x', 'b/x', 'b/y'),
    value: fc.nat(3),
    /** Whether it runs in the same turn, and so the same commit, as the one before it. */
    joins: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
) as fc.Arbitrary<Operation[]>

async function run(store: Store, history: readonly Operation[]): Promise<void> {
  let pending: Promise<unknown>[] = []
  for (const { kind, name, value, joins } of history) {
    if (!joins) {
      await Promise.all(pending)
      pending = []
    }
    const [namespace, plain] = name.split('/') as [string, string]
    pending.push(
      store
        .write((transaction) => {
          const current = transaction.get('pods', namespace, plain)
          if (kind !== 'delete') transaction.put('pods', pod(namespace, plain, value))
          else if (current) transaction.delete('pods', current)
          if (kind === 'fail') throw new Error('expected')
        })
        .catch((error: Error) => expect(error.message).toBe('expected')),
    )
  }
  await Promise.all(pending)
}

/** What somebody knows who lists at a revision and then applies every event after it. */
function replay(start: Iterable<KubeObject>, events: readonly StoreEvent[]): Map<string, KubeObject> {
  const known = new Map([...start].map((object) => [nameOf(object), object]))
  for (const { type, object, previous } of events) {
    expect(known.get(nameOf(object))).toBe(previous)
    expect(type).toBe(type === 'DELETED' ? 'DELETED' : previous ? 'MODIFIED' : 'ADDED')
    if (type === 'DELETED') known.delete(nameOf(object))
    else known.set(nameOf(object), object)
  }
  return known
}

describe('any history', () => {
  test('a list at any revision and the events after it are the present; each event comes once, in order', async () => {
    await fc.assert(
      fc.asyncProperty(operations, async (history) => {
        const own = mkdtempSync(join(directory, 'run-'))
        await using store = openStore({ directory: own })
        const live: StoreEvent[] = []
        const start = store.revision
        store.subscribe('pods', start, (event) => live.push(event))
        await run(store, history)

        const revisions = live.map(({ revision }) => revision)
        expect(revisions).toEqual(revisions.toSorted((a, b) => a - b))
        expect(new Set(revisions).size).toBe(revisions.length)
        expect(live.map(({ object }) => object.metadata.resourceVersion)).toEqual(revisions.map(String))
        const present = new Map([...store.list('pods')].map((object) => [nameOf(object), object]))
        for (let at = start; at <= store.revision; at++) {
          const events = store.eventsAfter('pods', at) as StoreEvent[]
          expect(events).toEqual(live.filter(({ revision }) => revision > at))
          const then = [...(store.listAt('pods', undefined, at) as Iterable<KubeObject>)]
          expect(replay(then, events)).toEqual(present)
          const inA = [...(store.listAt('pods', 'a', at) as Iterable<KubeObject>)]
          expect(inA).toEqual(then.filter(({ metadata }) => metadata.namespace === 'a'))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a restart changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(operations, operations, async (before, after) => {
        const own = mkdtempSync(join(directory, 'run-'))
        const first = openStore({ directory: own })
        await run(first, before)
        const { revision } = first
        const objects = [...first.list('pods')]
        await first[Symbol.asyncDispose]()
        await using second = openStore({ directory: own })
        expect([second.revision, [...second.list('pods')]]).toEqual([revision, objects])
        await run(second, after)
        for (const object of second.list('pods'))
          expect(objects.includes(object) || Number(object.metadata.resourceVersion) > 1).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})

describe('kill -9', () => {
  test('loses nothing that was acknowledged', async () => {
    for (let round = 0; round < 6; round++) {
      const child = spawn(
        process.execPath,
        [fileURLToPath(new URL('../testing/write-forever.ts', import.meta.url)), directory, String(round)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      const acknowledged: string[] = []
      let partial = ''
      child.stdout.on('data', (chunk: Buffer) => {
        const lines = (partial + chunk.toString()).split('\n')
        partial = lines.pop() as string
        acknowledged.push(...lines)
        // Enough to be in the middle of something; which middle is different each time.
        if (acknowledged.length > 50 * (round + 1)) child.kill('SIGKILL')
      })
      await once(child, 'close')
      await using store = openStore({ directory })
      const present = new Map([...store.list('pods')].map((object) => [nameOf(object), object]))
      const highest = Math.max(...acknowledged.map((line) => Number(line.split(' ')[1])))
      expect(store.revision).toBeGreaterThanOrEqual(highest)
      for (const line of acknowledged) {
        const [name, revision, kind] = line.split(' ') as [string, string, string]
        if (kind === 'put') expect(present.get(name)?.metadata.resourceVersion, line).toBe(revision)
        else expect(present.has(name), line).toBe(false)
      }
    }
  })
})
