/** Reads a container's log file as `kubectl logs` wants it: from its tail, since a moment, up to a size, and on as it grows. */
import { type Stats, watch } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { LogQuery } from './log-query.ts'
import { parseLogRecord } from './log-record.ts'

const NEWLINE = 0x0a
const READ_BYTES = 64 * 1024
/** The monitor splits longer lines into parts, so that a line of the file without an end is not a record. */
const MAX_RECORD_BYTES = 1024 * 1024

export interface LogSource {
  /** Replaced by a new file of the same name when the log is rotated. */
  path: string
  /** False once nothing more will be written. */
  writing(): boolean
  /** Called when `writing` may have become false. */
  onStopped(listener: () => void): Disposable
}

/**
 * The wanted part of the log. With `follow` it goes on until the container has stopped and everything it wrote was
 * given, or the signal is aborted: then it just ends.
 */
export async function* readContainerLog(
  source: LogSource,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  using changes = query.follow ? watchLog(source, signal) : undefined
  let file = await open(source.path, 'r')
  /** What goes on where `file` ends, once that has been put aside. */
  let next: FileHandle | undefined
  let position = query.tailLines === undefined ? 0 : await tailStart(file, query.tailLines)
  // Without follow the log is what it is now; a container that never stops writing must not keep the reader for ever.
  const end = query.follow ? Number.POSITIVE_INFINITY : (await file.stat()).size
  const render = createRenderer(query)
  let pending: Buffer = Buffer.alloc(0)
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  try {
    while (!signal.aborted) {
      const stopped = !source.writing()
      const wanted = Math.min(READ_BYTES, end - position)
      const { bytesRead } = wanted > 0 ? await file.read(buffer, 0, wanted, position) : { bytesRead: 0 }
      if (bytesRead > 0) {
        position += bytesRead
        const { lines, rest } = splitLines(Buffer.concat([pending, buffer.subarray(0, bytesRead)]))
        pending = rest.length > MAX_RECORD_BYTES ? Buffer.alloc(0) : rest
        const rendered = render.lines(lines)
        if (rendered.length > 0) yield rendered
        if (render.full()) return
        continue
      }
      if (next) {
        await file.close()
        file = next
        next = undefined
        position = 0
        pending = Buffer.alloc(0)
        continue
      }
      next = await successor(source.path, file)
      // It was written to until it was put aside, perhaps since we looked: once more to its end.
      if (next) continue
      if (!changes || stopped) {
        const rendered = render.lines(pending.length > 0 ? [pending] : [])
        if (rendered.length > 0) yield rendered
        return
      }
      await changes.next()
    }
  } finally {
    await file.close()
    await next?.close()
  }
}

/** More than any log has files. */
const MOST_FILES = 32

/**
 * The file that was begun when `current` was put aside, opened; undefined while that is still written to. A reader that
 * is slow may find several between its own and the newest: `PATH.1` is the newest of the old.
 */
async function successor(path: string, current: FileHandle): Promise<FileHandle | undefined> {
  const names = Array.from({ length: MOST_FILES }, (_, index) => (index === 0 ? path : `${path}.${index}`))
  const own = await current.stat()
  for (;;) {
    const found = await Promise.all(names.map((name) => stat(name).catch(() => undefined)))
    const at = found.findIndex((file) => file && isSameFile(file, own))
    if (at === 0) return undefined
    // Where ours was deleted, the oldest that there is comes next.
    const next = at > 0 ? at - 1 : found.findLastIndex((file) => file !== undefined)
    const expected = found[next]
    // Between the renaming of the old file and the creation of the new one.
    if (!expected) return undefined
    const opened = await open(names[next] ?? path, 'r').catch(() => undefined)
    if (opened && isSameFile(await opened.stat(), expected)) return opened
    // Put aside itself since we looked.
    await opened?.close()
  }
}

function isSameFile(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev
}

/** Announces changes of the file and of whether it is written to; one that comes between two waits is kept. */
function watchLog(source: LogSource, signal: AbortSignal): { next(): Promise<void> } & Disposable {
  let changed = false
  let wake: (() => void) | undefined
  function change(): void {
    changed = true
    wake?.()
  }
  const name = basename(source.path)
  const watcher = watch(dirname(source.path), (_event, file) => {
    if (file === name) change()
  })
  watcher.on('error', change)
  const stopped = source.onStopped(change)
  signal.addEventListener('abort', change)
  return {
    async next() {
      if (!changed) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      wake = undefined
      changed = false
    },
    [Symbol.dispose]() {
      watcher.close()
      stopped[Symbol.dispose]()
      signal.removeEventListener('abort', change)
    },
  }
}

/** Where the last `count` lines begin; a last line without an end is not counted. */
async function tailStart(file: FileHandle, count: number): Promise<number> {
  const { size } = await file.stat()
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  let newlines = 0
  for (let right = size; right > 0; ) {
    const left = Math.max(0, right - READ_BYTES)
    const { bytesRead } = await file.read(buffer, 0, right - left, left)
    for (let index = bytesRead - 1; index >= 0; index--) {
      if (buffer[index] === NEWLINE && ++newlines > count) return left + index + 1
    }
    right = left
  }
  return 0
}

function splitLines(bytes: Buffer): { lines: Buffer[]; rest: Buffer } {
  const lines: Buffer[] = []
  let start = 0
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    lines.push(bytes.subarray(start, end + 1))
    start = end + 1
  }
  return { lines, rest: bytes.subarray(start) }
}

/** Turns records into what is sent, and keeps count of the bytes and lines that are still wanted. */
function createRenderer(query: LogQuery): { lines(lines: readonly Buffer[]): Buffer; full(): boolean } {
  let remainingBytes = query.limitBytes ?? Number.POSITIVE_INFINITY
  let remainingLines = query.follow ? Number.POSITIVE_INFINITY : (query.tailLines ?? Number.POSITIVE_INFINITY)
  let atLineStart = true

  function lines(records: readonly Buffer[]): Buffer {
    const parts: Buffer[] = []
    for (const line of records) {
      if (full()) break
      const record = parseLogRecord(line)
      if (!record) continue
      remainingLines--
      const startsLine = atLineStart
      atLineStart = record.text.length === 0 || record.text[record.text.length - 1] === NEWLINE
      if (query.since !== undefined && Date.parse(record.timestamp) < query.since) continue
      if (query.stream !== 'All' && query.stream.toLowerCase() !== record.stream) continue
      for (const part of [
        query.timestamps && startsLine ? Buffer.from(`${record.timestamp} `) : Buffer.alloc(0),
        record.text,
      ]) {
        const taken = part.subarray(0, remainingBytes)
        remainingBytes -= taken.length
        parts.push(taken)
      }
    }
    return Buffer.concat(parts)
  }

  function full(): boolean {
    return remainingBytes <= 0 || remainingLines <= 0
  }

  return { lines, full }
}
