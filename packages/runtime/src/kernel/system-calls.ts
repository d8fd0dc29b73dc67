/** System calls that Node has no word for, made by a small process of our own, many at a time. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { getSystemErrorMap } from 'node:util'
import { MEMORY_ADDRESS, type Syscall, syscallNumber } from '../native/assembler.ts'
import { hostArchitecture, installSystemCalls } from '../native/native-programs.ts'
import { MESSAGE_HEADER, MESSAGE_LIMIT, RECORD } from '../native/system-calls-program.ts'

const ARGUMENTS = 6
const WORD = 8
/** In the header, the address of the first record. */
const FIRST = WORD
const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

/** A call of a batch: as an argument of a later one it stands for its result. */
export interface Call {
  readonly name: Syscall
  /** Of its record in the message. */
  readonly offset: number
}

/** Room in a batch that the kernel is to write to. */
export interface Room {
  readonly offset: number
  readonly length: number
}

/** A number; bytes whose address is meant; a room whose address is meant; what an earlier call of the batch gives. */
export type Argument = number | Uint8Array | Room | Call

/**
 * Calls that are made one after the other, whatever becomes of those before: where an argument is the result of one that
 * failed, there is no such file. A session has one batch at a time, whose results are there until the next one is begun.
 */
export interface Batch {
  call(name: Syscall, ...args: Argument[]): Call
  /** The same for one that has to succeed. */
  must(name: Syscall, ...args: Argument[]): Call
  room(length: number): Room
  /** Makes the calls. Rejects with an Error of the kernel's kind, with its `code`, where one failed that had to succeed. */
  run(): Promise<void>
  /** What a call gave: a number, negative for an error. */
  result(call: Call): number
  /** What the kernel has written to a room; valid until the next batch. */
  bytes(room: Room): Buffer
}

export interface SystemCalls extends AsyncDisposable {
  batch(): Batch
}

/**
 * Begins a session: a process with descriptors of its own, which ends with it, with this process, and with the signal.
 * A batch that it ends under rejects with the signal's reason, once the process has ended.
 *
 * @param programs a private directory, where the process's program is put
 */
export async function openSystemCalls(programs: string, signal?: AbortSignal): Promise<SystemCalls> {
  const program = await installSystemCalls(programs)
  signal?.throwIfAborted()
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'close').catch(() => {})
  const kill = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', kill, { once: true })
  const message = Buffer.alloc(MESSAGE_LIMIT)
  const exchange = createExchange(child, message)
  const calls: SystemCalls = {
    batch: () =>
      createBatch(message, async (length) => {
        try {
          await exchange(length)
        } catch (error) {
          kill()
          await ended
          signal?.throwIfAborted()
          throw error
        }
      }),
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener('abort', kill)
      kill()
      await ended
    },
  }
  const first = calls.batch()
  first.call('prctl', PR_SET_PDEATHSIG, SIGKILL)
  first.call('umask', 0)
  await first.run()
  return calls
}

/** Sends as many bytes of the message, and resolves when as many have come back into their place. */
function createExchange(
  child: ChildProcessByStdio<Writable, Readable, null>,
  message: Buffer,
): (length: number) => Promise<void> {
  let received = 0
  let waiting: { length: number; resolve(): void; reject(error: Error): void } | undefined
  let failure: Error | undefined
  const fail = (error: Error): void => {
    failure ??= error
    waiting?.reject(failure)
  }
  child.once('error', fail)
  child.stdin.on('error', fail)
  child.once('close', (code, by) => fail(new Error(`the process for system calls ended: ${by ?? `exit ${code}`}`)))
  child.stdout.on('data', (chunk: Buffer) => {
    received += chunk.copy(message, received)
    if (waiting && received === waiting.length) {
      const { resolve } = waiting
      waiting = undefined
      resolve()
    }
  })
  return async (length) => {
    if (failure) throw failure
    received = 0
    await new Promise<void>((resolve, reject) => {
      waiting = { length, resolve, reject }
      child.stdin.write(message.subarray(0, length))
    })
  }
}

function createBatch(message: Buffer, exchange: (length: number) => Promise<void>): Batch {
  const architecture = hostArchitecture()
  let end = MESSAGE_HEADER
  let last: Call | undefined
  const required: Call[] = []

  /** @returns where so many bytes are, which begin at a whole word */
  function take(length: number): number {
    const offset = end
    end += Math.ceil(length / WORD) * WORD
    if (end > message.length) throw new RangeError(`a batch has ${end} bytes, expected at most ${message.length}`)
    return offset
  }

  function valueOf(argument: number | Uint8Array | Room): number {
    if (typeof argument === 'number') return argument
    if (!(argument instanceof Uint8Array)) return MEMORY_ADDRESS + argument.offset
    const offset = take(argument.length)
    message.set(argument, offset)
    return MEMORY_ADDRESS + offset
  }

  /** @returns the offset of a word with the argument */
  function place(argument: Argument): number {
    if (typeof argument === 'object' && 'name' in argument) return argument.offset + RECORD.result
    const word = take(WORD)
    putWord(message, word, valueOf(argument))
    return word
  }

  function call(name: Syscall, ...args: Argument[]): Call {
    const offset = take(RECORD.size)
    putWord(message, last === undefined ? FIRST : last.offset + RECORD.next, MEMORY_ADDRESS + offset)
    putWord(message, offset, syscallNumber(name, architecture))
    putWord(message, offset + RECORD.next, 0)
    for (let index = 0; index < ARGUMENTS; index++) {
      const word = place(args[index] ?? 0)
      putWord(message, offset + WORD + index * WORD, MEMORY_ADDRESS + word)
    }
    last = { name, offset }
    return last
  }

  const result = (made: Call): number => Number(message.readBigInt64LE(made.offset + RECORD.result))
  return {
    call,
    must(name, ...args) {
      const made = call(name, ...args)
      required.push(made)
      return made
    },
    room: (length) => ({ offset: take(length), length }),
    async run() {
      if (!last) return
      putWord(message, 0, MEMORY_ADDRESS + end)
      await exchange(end)
      const failed = required.find((made) => result(made) < 0)
      if (failed) throw kernelError(failed.name, result(failed))
    },
    result,
    bytes: ({ offset, length }) => message.subarray(offset, offset + length),
  }
}

/** A whole number in two's complement; those beyond 2^53 have no meaning here. */
function putWord(message: Buffer, offset: number, value: number): void {
  message.writeUInt32LE(value >>> 0, offset)
  message.writeInt32LE(Math.floor(value / 2 ** 32), offset + 4)
}

/** In Node's words; a quota that is used up is no room either. */
export function kernelError(name: Syscall, result: number): Error {
  const errno = result === -constants.errno.EDQUOT ? -constants.errno.ENOSPC : result
  const [code, description] = getSystemErrorMap().get(errno) ?? [`E${-errno}`, 'refused by the kernel']
  return Object.assign(new Error(`${code}: ${description}, ${name}`), { code, errno, syscall: name })
}
