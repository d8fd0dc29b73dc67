/** What restoring a snapshot needs of the machine beside the OCI runtime. */
import type { Program } from './assembler.ts'

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

/** Longest message that `send-files` passes on, bytes. */
const LONGEST_MESSAGE = 4096

/** Passes on what it reads from descriptor 0, in one message, to the socket on descriptor 3, with descriptors 4 and 5. */
export function sendFilesProgram(): Program {
  return {
    code: [
      { op: 'syscall', name: 'read', args: [0, { address: 'buffer' }, LONGEST_MESSAGE], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      // struct iovec and struct msghdr
      { op: 'set', to: 'b', value: { address: 'vector' } },
      { op: 'set', to: 'c', value: { address: 'buffer' } },
      { op: 'store', from: 'c', base: 'b', offset: 0, bits: 64 },
      { op: 'store', from: 'a', base: 'b', offset: 8, bits: 64 },
      { op: 'set', to: 'c', value: { address: 'message' } },
      { op: 'store', from: 'b', base: 'c', offset: 16, bits: 64 },
      { op: 'set', to: 'b', value: 1 },
      { op: 'store', from: 'b', base: 'c', offset: 24, bits: 64 },
      { op: 'set', to: 'b', value: { address: 'rights' } },
      { op: 'store', from: 'b', base: 'c', offset: 32, bits: 64 },
      { op: 'set', to: 'b', value: RIGHTS_SIZE },
      { op: 'store', from: 'b', base: 'c', offset: 40, bits: 64 },
      { op: 'syscall', name: 'sendmsg', args: [3, 'c', 0], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
    data: { rights: rightsOf([4, 5]) },
    memory: { vector: 16, message: 56, buffer: LONGEST_MESSAGE },
  }
}

const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const RIGHTS_SIZE = 24

/** struct cmsghdr with two descriptors. */
function rightsOf(descriptors: [number, number]): Uint8Array {
  const view = new DataView(new ArrayBuffer(RIGHTS_SIZE))
  view.setUint32(0, RIGHTS_SIZE, true)
  for (const [index, value] of [SOL_SOCKET, SCM_RIGHTS, ...descriptors].entries())
    view.setUint32(8 + index * 4, value, true)
  return new Uint8Array(view.buffer)
}

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
