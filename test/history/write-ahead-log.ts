/** Looks at what a killed server left: how much of its write-ahead log had gone into the database. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// https://www.sqlite.org/fileformat2.html#walformat
const HEADER = 32
const FRAME_HEADER = 24

export interface CheckpointProgress {
  /** Pages whose newest state the database has. */
  copied: number
  /** Pages whose newest state is in the log alone. */
  missing: number
}

/** Of the committed pages in the log of the database in `directory`. */
export function checkpointProgress(directory: string): CheckpointProgress {
  const log = readFileSync(join(directory, 'state.db-wal'))
  const database = readFileSync(join(directory, 'state.db'))
  if (log.length < HEADER) return { copied: 0, missing: 0 }
  const pageSize = log.readUInt32BE(8)
  const salt = log.subarray(16, 24)
  const newest = new Map<number, Buffer>()
  let transaction: [page: number, content: Buffer][] = []
  for (let at = HEADER; at + FRAME_HEADER + pageSize <= log.length; at += FRAME_HEADER + pageSize) {
    // Of before the log began anew.
    if (!log.subarray(at + 8, at + 16).equals(salt)) break
    const content = log.subarray(at + FRAME_HEADER, at + FRAME_HEADER + pageSize)
    transaction.push([log.readUInt32BE(at), content])
    const commits = log.readUInt32BE(at + 4) !== 0
    if (!commits) continue
    for (const [page, newer] of transaction) newest.set(page, newer)
    transaction = []
  }
  let copied = 0
  for (const [page, content] of newest)
    if (database.subarray((page - 1) * pageSize, page * pageSize).equals(content)) copied++
  return { copied, missing: newest.size - copied }
}
