/**
 * The SQLite file under the store: how it is opened, locked, migrated and written. Nothing above it knows SQL.
 */
import { chmodSync, closeSync, existsSync, fdatasync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { KubeObject } from '@caisson/api'

export type StoreErrorCode =
  /** Another process has the directory open. */
  | 'locked'
  /** The data was written by a newer program. */
  | 'newer-version'
  /** SQLite could not open or read the file. */
  | 'unreadable'

/** Why a store could not be opened. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Each entry brings the file from the version before it (its index) to the next. Never edit one that was released. */
const MIGRATIONS: readonly string[] = [
  // An ordinary rowid table: rows of several KB would make the interior pages of a WITHOUT ROWID table useless.
  `CREATE TABLE objects (
     id INTEGER PRIMARY KEY,
     resource TEXT NOT NULL,
     namespace TEXT NOT NULL,
     name TEXT NOT NULL,
     object TEXT NOT NULL,
     UNIQUE (resource, namespace, name)
   ) STRICT;
   CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
   INSERT INTO progress (id, revision) VALUES (1, 1);`,
]

export const DATABASE_VERSION = MIGRATIONS.length

export interface StoredRow {
  resource: string
  namespace: string
  name: string
  object: KubeObject
  /** Of its JSON. */
  bytes: number
}

/** What one batch leaves behind: the last state of each object that it touched. */
export interface Change {
  resource: string
  namespace: string
  name: string
  /** JSON text; undefined removes the row. */
  object: string | undefined
}

export interface Database extends Disposable {
  /** When it was opened. */
  revision: number
  /** Throws a `StoreError` where the file is damaged. */
  readAll(): Iterable<StoredRow>
  /** All or nothing; on disk once `sync` has resolved. */
  commit(changes: Iterable<Change>, revision: number): void
  /** Everything that was committed is on disk. Once it has failed, nothing of what was committed since can be relied upon. */
  sync(): Promise<void>
}

/**
 * Opens (or makes) `state.db` in `directory`, private to the user, and holds it alone until it is disposed of or the
 * process dies. Throws a `StoreError`.
 */
export function openDatabase(directory: string): Database {
  const file = join(directory, 'state.db')
  let connection: DatabaseSync
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    createPrivately(file)
    chmodSync(file, 0o600)
    connection = new DatabaseSync(file, { timeout: 0 })
  } catch (error) {
    throw unreadable(file, error)
  }
  try {
    prepare(connection, file)
    return wrap(connection, file)
  } catch (error) {
    connection.close()
    if (error instanceof StoreError) throw error
    if (isSqliteError(error, 'busy'))
      throw new StoreError('locked', `another process has ${file} open: stop it first, or use another data directory`, {
        cause: error,
      })
    throw unreadable(file, error)
  }
}

/**
 * Why the store in `directory` cannot be opened, and what to do; undefined where it can, or there is none. Takes as long as
 * reading all of it. For when no process has it open: of one that does, nothing is said.
 */
export function storeProblem(directory: string): string | undefined {
  const file = join(directory, 'state.db')
  if (!existsSync(file)) return undefined
  try {
    using connection = new DatabaseSync(file, { timeout: 0 })
    const { quick_check: found } = connection.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
    // Where it is, and in a line of its own what.
    if (found !== 'ok') throw new Error(found.split('\n').at(-1))
    const { user_version: version } = connection.prepare('PRAGMA user_version').get() as { user_version: number }
    // A new one holds nothing yet.
    const broken = version > 0 && connection.prepare('SELECT name FROM objects WHERE NOT json_valid(object)').get()
    if (broken) throw new Error(`what ${String(broken['name'])} is cannot be read`)
    return undefined
  } catch (error) {
    return isSqliteError(error, 'busy') ? undefined : unreadable(file, error).message
  }
}

/** Says what to do, which is not the same where the file is as it was and where it no longer is. */
function unreadable(file: string, cause: unknown): StoreError {
  const { message, code = '' } = cause as NodeJS.ErrnoException
  const say = (what: string, next: string): StoreError =>
    new StoreError('unreadable', `${file} ${what} (${message}): ${next}`, { cause })
  if (/^(?:ENOSPC|EDQUOT)$/.test(code) || isSqliteError(cause, 'full'))
    return say('cannot be opened', 'free some space on its disk')
  if (/^E(?!RR_)/.test(code) || UNOPENED.some((each) => isSqliteError(cause, each)))
    return say('cannot be opened', 'see that it is a file, on a disk that works, in a directory that can be written to')
  const next = `put a copy from before in its place, or move ${dirname(file)} away to begin without objects`
  return say('is damaged', next)
}

/** SQLite would create it readable for everybody; its journal takes over the mode of the file. */
function createPrivately(file: string): void {
  // Only where it is missing: closing any descriptor of a file drops all locks that this process holds on it (POSIX).
  if (!existsSync(file)) closeSync(openSync(file, 'ax', 0o600))
}

function prepare(connection: DatabaseSync, file: string): void {
  // `NORMAL` leaves the fsync of each commit, and nothing else, to `sync`: off this thread, which goes on meanwhile.
  // In this mode SQLite keeps its file lock until the connection closes, so a second writer fails at once; the kernel
  // gives the lock back when the process dies, however it dies.
  // Of a new file: objects have 1 to 4 KB, of which pages of 4 KB hold few and split often. A commit takes a quarter less.
  connection.exec('PRAGMA page_size = 8192')
  connection.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  // The log goes into the database 16 MB at a time, for which this thread stands still: more seldom is less in all, because
  // what was written several times meanwhile goes there once (the slowest of a hundred commits: 0.3 ms, before 0.6 to 4 ms).
  connection.exec('PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = 2000')
  connection.exec('PRAGMA cache_size = -8192; BEGIN IMMEDIATE; COMMIT')
  const { user_version: version } = connection.prepare('PRAGMA user_version').get() as { user_version: number }
  if (version > DATABASE_VERSION)
    throw new StoreError(
      'newer-version',
      `${file} has version ${version}, this program knows versions up to ${DATABASE_VERSION}: use the newer program that wrote it`,
    )
  for (let next = version; next < DATABASE_VERSION; next++) {
    connection.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[next]} PRAGMA user_version = ${next + 1}; COMMIT`)
  }
}

function wrap(connection: DatabaseSync, file: string): Database {
  const upsert: StatementSync = connection.prepare(
    `INSERT INTO objects (resource, namespace, name, object) VALUES (?, ?, ?, ?)
     ON CONFLICT (resource, namespace, name) DO UPDATE SET object = excluded.object`,
  )
  const remove = connection.prepare('DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?')
  const advance = connection.prepare('UPDATE progress SET revision = ? WHERE id = 1')
  const begin = connection.prepare('BEGIN IMMEDIATE')
  const commit = connection.prepare('COMMIT')
  /** Of the write-ahead log, which is there from the first commit until the connection closes. */
  let descriptor: number | undefined
  return {
    revision: (connection.prepare('SELECT revision FROM progress WHERE id = 1').get() as { revision: number }).revision,
    *readAll() {
      const rows = connection
        .prepare('SELECT resource, namespace, name, object FROM objects ORDER BY resource, namespace, name')
        .iterate() as Iterable<unknown> as Iterable<Omit<StoredRow, 'object' | 'bytes'> & { object: string }>
      try {
        for (const { object, ...key } of rows)
          yield { ...key, object: JSON.parse(object) as KubeObject, bytes: Buffer.byteLength(object) }
      } catch (error) {
        throw unreadable(file, error)
      }
    },
    commit(changes, revision) {
      begin.run()
      try {
        for (const { resource, namespace, name, object } of changes) {
          if (object === undefined) remove.run(resource, namespace, name)
          else upsert.run(resource, namespace, name, object)
        }
        advance.run(revision)
        commit.run()
      } catch (error) {
        // After some failures (a full disk among them) SQLite has rolled back already.
        if (connection.isTransaction) connection.exec('ROLLBACK')
        throw error
      }
    },
    sync() {
      // Its locks are on the database file alone: closing this descriptor drops none.
      const log = (descriptor ??= openSync(`${file}-wal`, 'r'))
      return new Promise((resolve, reject) => fdatasync(log, (error) => (error ? reject(error) : resolve())))
    },
    [Symbol.dispose]() {
      if (descriptor !== undefined) closeSync(descriptor)
      connection.close()
    },
  }
}

const SQLITE_CODES = { permission: 3, busy: 5, readOnly: 8, io: 10, full: 13, open: 14 } as const
/** Of files that nothing is known of. */
const UNOPENED = ['permission', 'readOnly', 'io', 'open'] as const

/** Whether `error` is SQLite's own, of the given primary result code. */
export function isSqliteError(error: unknown, code: keyof typeof SQLITE_CODES): boolean {
  const number = (error as { errcode?: unknown } | null)?.errcode
  return typeof number === 'number' && (number & 0xff) === SQLITE_CODES[code]
}
