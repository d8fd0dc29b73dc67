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
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TURN_MS } from '../fair-queue.ts'
import { DATABASE_VERSION, storeProblem } from './database.ts'
import { openStore } from './sqlite-store.ts'

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
