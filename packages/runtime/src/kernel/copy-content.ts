/** What a file holds beside its status: its data and its extended attributes, from one open file to another. */
import { constants } from 'node:os'
import { kernelError, type SystemCalls } from './system-calls.ts'

export interface OpenFiles {
  from: number
  to: number
}

const SEEK_SET = 0
const SEEK_DATA = 3
const SEEK_HOLE = 4
/** That one call copies; fewer than the kernel would. */
export const PIECE_BYTES = 1024 ** 3
/** Pieces of data that are looked for at a time. */
const PIECES = 64
const ATTRIBUTE_NAMES_BYTES = 64 * 1024
const ATTRIBUTE_BYTES = 64 * 1024
/** At a time, with their values. */
const ATTRIBUTES = 8

interface Piece {
  begin: number
  end: number
}

/**
 * Copies the data from `begin` to `size`, and leaves holes where there are some. What is behind has been written since, and
 * is no part of the copy; a file that has become shorter ends there.
 */
export async function copyData(calls: SystemCalls, files: OpenFiles, begin: number, size: number): Promise<void> {
  let at = begin
  while (at < size) {
    const { pieces, isLast } = await findData(calls, files.from, at, size)
    const end = await copyPieces(calls, files, pieces)
    if (end === undefined || (isLast && end === pieces.at(-1)?.end)) return
    at = end
  }
}

async function findData(
  calls: SystemCalls,
  from: number,
  begin: number,
  size: number,
): Promise<{ pieces: Piece[]; isLast: boolean }> {
  const batch = calls.batch()
  let hole = batch.call('lseek', from, begin, SEEK_SET)
  const sought = Array.from({ length: PIECES }, () => {
    const data = batch.call('lseek', from, hole, SEEK_DATA)
    hole = batch.call('lseek', from, data, SEEK_HOLE)
    return { data, hole }
  })
  await batch.run()
  const pieces: Piece[] = []
  for (const each of sought) {
    const [data, end] = [batch.result(each.data), batch.result(each.hole)]
    if (data === -constants.errno.ENXIO || data >= size) return { pieces, isLast: true }
    // Where the file system knows of none, and where it was changed in between.
    if (end <= data) break
    pieces.push({ begin: data, end: Math.min(end, size, data + PIECE_BYTES) })
    if (end > data + PIECE_BYTES) break
  }
  if (pieces.length === 0) pieces.push({ begin, end: Math.min(size, begin + PIECE_BYTES) })
  return { pieces, isLast: false }
}

/** @returns how far it came; undefined where the file has ended */
async function copyPieces(
  calls: SystemCalls,
  { from, to }: OpenFiles,
  pieces: readonly Piece[],
): Promise<number | undefined> {
  const batch = calls.batch()
  const sent = pieces.map(({ begin, end }) => {
    batch.must('lseek', from, begin, SEEK_SET)
    batch.must('lseek', to, begin, SEEK_SET)
    return batch.must('sendfile', to, from, 0, end - begin)
  })
  await batch.run()
  for (const [index, { begin, end }] of pieces.entries()) {
    const call = sent[index]
    const bytes = call ? batch.result(call) : 0
    if (bytes === 0) return undefined
    if (bytes < end - begin) return begin + bytes
  }
  return pieces.at(-1)?.end
}

/** Copies all extended attributes that the target's file system takes and this process may set. */
export async function copyAttributes(calls: SystemCalls, { from, to }: OpenFiles): Promise<void> {
  const batch = calls.batch()
  const room = batch.room(ATTRIBUTE_NAMES_BYTES)
  const listed = batch.must('flistxattr', from, room, ATTRIBUTE_NAMES_BYTES)
  await batch.run()
  const names = splitNames(Buffer.from(batch.bytes(room).subarray(0, batch.result(listed))))
  for (let at = 0; at < names.length; at += ATTRIBUTES)
    await copySome(calls, { from, to }, names.slice(at, at + ATTRIBUTES))
}

async function copySome(calls: SystemCalls, { from, to }: OpenFiles, names: readonly Buffer[]): Promise<void> {
  const reading = calls.batch()
  const read = names.map((name) => {
    const room = reading.room(ATTRIBUTE_BYTES)
    return { name, room, call: reading.call('fgetxattr', from, name, room, ATTRIBUTE_BYTES) }
  })
  await reading.run()
  // One that went in between is no part of the copy.
  const values = read.flatMap(({ name, room, call }) => {
    const length = reading.result(call)
    return length < 0 ? [] : [{ name, value: Buffer.from(reading.bytes(room).subarray(0, length)) }]
  })
  const writing = calls.batch()
  const written = values.map(({ name, value }) => writing.call('fsetxattr', to, name, value, value.length, 0))
  await writing.run()
  const failed = written.map(writing.result).find((result) => result < 0 && !NOT_HERE.has(-result))
  if (failed !== undefined) throw kernelError('fsetxattr', failed)
}

/** The file system has none of the kind, or they are another's to set. */
const NOT_HERE: ReadonlySet<number> = new Set([
  constants.errno.EOPNOTSUPP,
  constants.errno.EPERM,
  constants.errno.EACCES,
])

/** Each with the byte that ends it. */
function splitNames(list: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let at = 0; at < list.length; at = list.indexOf(0, at) + 1)
    names.push(list.subarray(at, list.indexOf(0, at) + 1))
  return names
}
