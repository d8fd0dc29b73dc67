/** What restoring a snapshot needs of the machine beside the OCI runtime. */
import type { Instruction, Program, Variable } from './assembler.ts'

const MS_BIND_REC = 0x1000 | 0x4000
const HOSTNAME_SIZE = 64

/**
 * `bind-mounts SOURCE TARGET …`: binds each absolute path, with what is mounted below it, over the next one. Exit status 1
 * where one of them could not be bound.
 */
export function bindMountsProgram(): Program {
  return {
    code: [
      { op: 'stack', to: 'a' },
      { op: 'add', to: 'a', value: 16 },
      { op: 'label', name: 'next' },
      { op: 'load', to: 'b', base: 'a', offset: 0, bits: 64 },
      { op: 'jump', to: 'done', variable: 'b', when: 'zero' },
      { op: 'load', to: 'c', base: 'a', offset: 8, bits: 64 },
      { op: 'syscall', name: 'mount', args: ['b', 'c', 0, MS_BIND_REC, 0], result: 'd' },
      { op: 'jump', to: 'failed', variable: 'd', when: 'negative' },
      { op: 'add', to: 'a', value: 16 },
      { op: 'jump', to: 'next', when: 'always' },
      { op: 'label', name: 'done' },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
  }
}

/** Most files that `send-files` passes on. */
const SENT_FILES_LIMIT = 4

/**
 * `send-files FILE…`: sends `{` to the socket on descriptor 3, with as many descriptors as it has arguments, from 4 on. A
 * sentry takes files with the first byte of a call; the rest of the call is for whoever has the socket too.
 */
export function sendFilesProgram(): Program {
  return {
    code: [
      { op: 'stack', to: 'a' },
      { op: 'load', to: 'a', base: 'a', offset: 0, bits: 64 },
      // 16 bytes and 4 for each file; argc counts the program too.
      { op: 'add', to: 'a', value: 'a' },
      { op: 'add', to: 'a', value: 'a' },
      { op: 'add', to: 'a', value: 12 },
      // struct cmsghdr
      { op: 'set', to: 'd', value: { address: 'rights' } },
      { op: 'store', from: 'a', base: 'd', offset: 0, bits: 64 },
      ...[SOL_SOCKET, SCM_RIGHTS, ...SENT_FILES].flatMap((value, index): Instruction[] => [
        { op: 'set', to: 'c', value },
        { op: 'store', from: 'c', base: 'd', offset: 8 + index * 4, bits: 32 },
      ]),
      // struct iovec and struct msghdr
      { op: 'set', to: 'b', value: { address: 'vector' } },
      { op: 'set', to: 'c', value: { address: 'beginning' } },
      { op: 'store', from: 'c', base: 'b', offset: 0, bits: 64 },
      { op: 'set', to: 'e', value: 1 },
      { op: 'store', from: 'e', base: 'b', offset: 8, bits: 64 },
      { op: 'set', to: 'c', value: { address: 'message' } },
      { op: 'store', from: 'b', base: 'c', offset: 16, bits: 64 },
      { op: 'store', from: 'e', base: 'c', offset: 24, bits: 64 },
      { op: 'store', from: 'd', base: 'c', offset: 32, bits: 64 },
      { op: 'store', from: 'a', base: 'c', offset: 40, bits: 64 },
      { op: 'syscall', name: 'sendmsg', args: [3, 'c', 0], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
    data: { beginning: new TextEncoder().encode('{') },
    memory: { vector: 16, message: 56, rights: 16 + 4 * SENT_FILES_LIMIT },
  }
}

const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const SENT_FILES = Array.from({ length: SENT_FILES_LIMIT }, (_, index) => 4 + index)

/** Names the machine that it runs on by what it reads, at most 64 bytes. */
export function setHostnameProgram(): Program {
  return {
    code: [
      { op: 'syscall', name: 'read', args: [0, { address: 'name' }, HOSTNAME_SIZE], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      { op: 'syscall', name: 'sethostname', args: [{ address: 'name' }, 'a'], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
    memory: { name: HOSTNAME_SIZE },
  }
}

/** Bytes of what `set-parameter` reads: a path, with zeros behind it, and then the value. */
export const PARAMETER_PATH_SIZE = 64
export const PARAMETER_VALUE_SIZE = 128

const AT_FDCWD = -100
const O_WRONLY = 1

/** Writes a kernel parameter of the machine that it runs on: it reads the file's path and what is to be in it. */
export function setParameterProgram(): Program {
  const failsWhere = (variable: Variable): Instruction => ({ op: 'jump', to: 'failed', variable, when: 'negative' })
  return {
    code: [
      { op: 'syscall', name: 'read', args: [0, { address: 'path' }, PARAMETER_PATH_SIZE], result: 'a' },
      failsWhere('a'),
      { op: 'syscall', name: 'read', args: [0, { address: 'value' }, PARAMETER_VALUE_SIZE], result: 'a' },
      failsWhere('a'),
      { op: 'syscall', name: 'openat', args: [AT_FDCWD, { address: 'path' }, O_WRONLY, 0], result: 'b' },
      failsWhere('b'),
      { op: 'syscall', name: 'write', args: ['b', { address: 'value' }, 'a'], result: 'a' },
      failsWhere('a'),
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
    memory: { path: PARAMETER_PATH_SIZE, value: PARAMETER_VALUE_SIZE },
  }
}
