import type { Program } from './assembler.ts'

/** Bytes of a message at most. */
export const MESSAGE_LIMIT = 1024 * 1024
/** Bytes of a message's header: the addresses of its end and of its first record. */
export const MESSAGE_HEADER = 16
/** Offsets in a record, behind its number and the addresses of its arguments: the result, and the next one's address or 0. */
export const RECORD = { result: 56, next: 64, size: 72 } as const

/**
 * `system-calls`: reads messages from its standard input, makes the system calls of their records one after the other, and
 * gives each message back on its standard output with the results in it. A message lies at `MEMORY_ADDRESS` from its first
 * byte on: by addresses in there, records have arguments of what is in the message, and of what calls before them gave.
 * It ends with its input.
 */
export function systemCallsProgram(): Program {
  const message = { address: 'message' }
  return {
    code: [
      { op: 'label', name: 'message' },
      { op: 'set', to: 'b', value: message },
      { op: 'set', to: 'c', value: { address: 'message', offset: MESSAGE_HEADER } },
      { op: 'label', name: 'read' },
      // From b to c, which is first the end of the header, and then that of the message.
      { op: 'set', to: 'e', value: 'c' },
      { op: 'subtract', to: 'e', value: 'b' },
      { op: 'jump', to: 'whole', variable: 'e', when: 'zero' },
      { op: 'syscall', name: 'read', args: [0, 'b', 'e'], result: 'd' },
      { op: 'jump', to: 'end', variable: 'd', when: 'zero' },
      { op: 'jump', to: 'end', variable: 'd', when: 'negative' },
      { op: 'add', to: 'b', value: 'd' },
      { op: 'jump', to: 'read', when: 'always' },
      { op: 'label', name: 'whole' },
      { op: 'set', to: 'a', value: message },
      { op: 'load', to: 'd', base: 'a', offset: 0, bits: 64 },
      { op: 'set', to: 'e', value: 'd' },
      { op: 'subtract', to: 'e', value: 'c' },
      { op: 'set', to: 'c', value: 'd' },
      { op: 'jump', to: 'calls', variable: 'e', when: 'zero' },
      { op: 'jump', to: 'read', when: 'always' },
      { op: 'label', name: 'calls' },
      { op: 'load', to: 'a', base: 'a', offset: 8, bits: 64 },
      { op: 'label', name: 'call' },
      { op: 'call', record: 'a', result: 'b' },
      { op: 'store', from: 'b', base: 'a', offset: RECORD.result, bits: 64 },
      { op: 'load', to: 'a', base: 'a', offset: RECORD.next, bits: 64 },
      { op: 'jump', to: 'answer', variable: 'a', when: 'zero' },
      { op: 'jump', to: 'call', when: 'always' },
      { op: 'label', name: 'answer' },
      { op: 'set', to: 'b', value: message },
      { op: 'label', name: 'write' },
      { op: 'set', to: 'e', value: 'c' },
      { op: 'subtract', to: 'e', value: 'b' },
      { op: 'jump', to: 'message', variable: 'e', when: 'zero' },
      { op: 'syscall', name: 'write', args: [1, 'b', 'e'], result: 'd' },
      { op: 'jump', to: 'end', variable: 'd', when: 'negative' },
      { op: 'add', to: 'b', value: 'd' },
      { op: 'jump', to: 'write', when: 'always' },
      { op: 'label', name: 'end' },
      { op: 'syscall', name: 'exit_group', args: [0] },
    ],
    memory: { message: MESSAGE_LIMIT },
  }
}
