import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { tellFailure } from './tell-failure.ts'

export interface LogWriterOptions {
  path: string
  /** A file that would grow past this is put aside. */
  maxBytes: number
  /** Files kept, the current one included: `path`, `path.1` (newest of the old) to `path.<maxFiles - 1>`. */
  maxFiles: number
}

export interface LogWriter {
  write(stream: 'stdout' | 'stderr', chunk: Buffer): void
  close(): void
}

// What the field's log readers take as the longest piece of a line.
const LONGEST_PIECE = 16 * 1024
const NEWLINE = 0x0a
const PARTIAL = 0x50
// To call what copies costs more than so many bytes.
const COPIED_BY_BYTES = 32

/**
 * Writes a container's output in CRI's format, one record a line: `<RFC3339Nano> <stream> <F|P> <text>`, where P says
 * that the line goes on in the next record of the same stream.
 *
 * Writes are synchronous: they keep the order between the streams, and a page cache takes 64 KiB in some tens of
 * microseconds. A full disk loses log records, never the container: it goes on, and the log too once there is room.
 */
export function createLogWriter(options: LogWriterOptions): LogWriter {
  let file = openLog(options.path)
  let size = file === undefined ? 0 : fstatSync(file).size

  function close(): void {
    const open = file
    file = undefined
    // A disk may say only now that it has not what was written.
    if (open !== undefined) tellFailure(() => closeSync(open))
  }

  function rotate(): void {
    close()
    for (let index = options.maxFiles - 2; index >= 1; index--) {
      ignoreMissing(() => renameSync(`${options.path}.${index}`, `${options.path}.${index + 1}`))
    }
    if (options.maxFiles > 1) ignoreMissing(() => renameSync(options.path, `${options.path}.1`))
    else ignoreMissing(() => rmSync(options.path))
    file = openLog(options.path)
    size = 0
  }

  return {
    write(stream, chunk) {
      const record = formatRecords(stream, chunk, timestamp())
      try {
        if (size > 0 && size + record.length > options.maxBytes) rotate()
        file ??= openLog(options.path)
        if (file === undefined) return
        for (let at = 0; at < record.length; ) at += writeSync(file, record, at)
        size += record.length
      } catch {
        // Full disk or a directory that was taken away: the next record tries again.
        close()
      }
    },
    close,
  }
}

/**
 * The records of one piece of output, each ending with a newline. In one buffer: objects for each line let 64 KiB of
 * newlines take ten milliseconds.
 */
export function formatRecords(stream: 'stdout' | 'stderr', chunk: Buffer, time: string): Buffer {
  const prefix = Buffer.from(`${time} ${stream} F `)
  const tag = prefix.length - 2
  const ends = recordEnds(chunk)
  const records = Buffer.allocUnsafe(chunk.length + ends.length * (prefix.length + 1))
  let size = 0
  let at = 0
  for (const end of ends) {
    const isFull = chunk[end] === NEWLINE
    records.set(prefix, size)
    if (!isFull) records[size + tag] = PARTIAL
    size += prefix.length
    if (end - at > COPIED_BY_BYTES) size += chunk.copy(records, size, at, end)
    else for (let index = at; index < end; index++) records[size++] = chunk[index] ?? 0
    records[size++] = NEWLINE
    at = isFull ? end + 1 : end
  }
  return records.subarray(0, size)
}

/** Where the text of each record of a piece ends: before a newline, at the piece's end, or where a line is too long. */
function recordEnds(chunk: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at < chunk.length; ) {
    // Most of what makes many records are empty lines: a search costs more than a look.
    const found = chunk[at] === NEWLINE ? at : chunk.indexOf(NEWLINE, at)
    const end = Math.min(found < 0 ? chunk.length : found, at + LONGEST_PIECE)
    ends.push(end)
    at = end === found ? end + 1 : end
  }
  return ends
}

/** More than the two clocks are apart of themselves: the machine's gives whole milliseconds. */
const SET_MS = 2
/** When the finer clock, which nobody sets and which stands still while the machine sleeps, began by the machine's. */
let origin = performance.timeOrigin

/** Now, as RFC 3339 with nanoseconds; the clock gives microseconds. */
function timestamp(): string {
  const fine = performance.now()
  if (Math.abs(Date.now() - origin - fine) > SET_MS) origin = Date.now() - fine
  const now = origin + fine
  const milliseconds = Math.floor(now)
  const rest = Math.floor((now - milliseconds) * 1_000_000)
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${String(rest).padStart(6, '0')}Z`
}

function openLog(path: string): number | undefined {
  try {
    return openSync(path, 'a', 0o640)
  } catch {
    return undefined
  }
}

function ignoreMissing(action: () => void): void {
  try {
    action()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
