/** Whether what a sentry wrote down can go on elsewhere, by the open files of this machine that are in it. */
import { type FileHandle, open } from 'node:fs/promises'
import { RuntimeError } from '../runtime-error.ts'

// How runsc's state names a descriptor of this machine: `host:NUMBER`, 14 bytes behind the name of its container. Before
// each stands its length twice, as a number of one byte and of four. Of those that came by exec that name is empty, and
// they cannot be opened again.
const MARK = 'host:'
const DESCRIPTOR = /^host:\d+$/
const LONGEST_DESCRIPTOR = 16
const NAME_DISTANCE = 14
const LENGTHS = 5

/** Bytes that are looked at in one turn of the event loop: what runs in a sandbox can fill all of them with marks. */
export const LOOKED_AT_ONCE = 128 * 1024
/** Each costs a look, and what runs in a sandbox chooses how many there are: names of files, links and sockets. */
export const MOST_MARKS = 1_000_000

/**
 * What an exec left connected to its client is not known to be in the way before it is restored: by then it is too late.
 * Rejects with code `snapshot-incompatible` where there is such, and where the state has more than `MOST_MARKS` places
 * to look at. Its size has no bound of its own: it is read in pieces, as it is for its digest.
 *
 * @param path the file of the sentry's state
 * @param names of the containers that are kept: what is theirs is opened again
 */
export async function requireOwnDescriptors(path: string, names: readonly string[]): Promise<void> {
  await using file = await open(path, 'r')
  const owners = names.map(asString)
  const before = NAME_DISTANCE + Math.max(...owners.map(({ length }) => length))
  let marks = 0
  for await (const { bytes, from, to } of overlapping(file, before)) {
    for (let at = bytes.indexOf(MARK, from); at >= 0 && at < to; at = bytes.indexOf(MARK, at + 1)) {
      if (++marks > MOST_MARKS)
        throw new RuntimeError(
          'snapshot-incompatible',
          `more than ${MOST_MARKS} names of files, links and sockets in the sandbox have "${MARK}" in them, too many to look for open files of this machine among them: remove some`,
        )
      if (!isDescriptor(bytes, at) || owners.some((owner) => endsAt(bytes, at - NAME_DISTANCE, owner))) continue
      throw new RuntimeError(
        'snapshot-incompatible',
        'a process that was started by exec holds on to its client, and could not go on elsewhere: let it end, or start it with its input and outputs redirected',
      )
    }
  }
}

interface Piece {
  bytes: Buffer
  /** What begins between the two was in no piece before, and has around it all that belongs to it. */
  from: number
  to: number
}

/** A file in pieces, each good until the next is asked for. */
async function* overlapping(file: FileHandle, before: number): AsyncGenerator<Piece> {
  const buffer = Buffer.allocUnsafe(before + LONGEST_DESCRIPTOR + LOOKED_AT_ONCE)
  let from = 0
  for (let kept = 0; ; ) {
    const { bytesRead } = await file.read(buffer, kept, Math.min(LOOKED_AT_ONCE, buffer.length - kept))
    const bytes = buffer.subarray(0, kept + bytesRead)
    const to = bytesRead === 0 ? bytes.length : Math.max(from, bytes.length - LONGEST_DESCRIPTOR)
    yield { bytes, from, to }
    if (bytesRead === 0) return
    const passed = Math.max(0, to - before)
    buffer.copyWithin(0, passed, bytes.length)
    kept = bytes.length - passed
    from = to - passed
  }
}

function isDescriptor(state: Buffer, at: number): boolean {
  if (at < NAME_DISTANCE) return false
  const length = state.readUInt32BE(at - 4)
  return (
    length <= LONGEST_DESCRIPTOR &&
    state[at - LENGTHS] === length &&
    DESCRIPTOR.test(state.toString('latin1', at, at + length))
  )
}

/** A text as the state has it. */
function asString(text: string): Buffer {
  const bytes = Buffer.from(text)
  const lengths = Buffer.alloc(LENGTHS)
  lengths[0] = bytes.length
  lengths.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([lengths, bytes])
}

function endsAt(state: Buffer, end: number, what: Buffer): boolean {
  const begin = end - what.length
  return begin >= 0 && state.compare(what, 0, what.length, begin, end) === 0
}
