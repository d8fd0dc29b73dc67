import type { Architecture, Program } from './assembler.ts'
import { environmentBehind } from './environment.ts'

const SECCOMP_SET_MODE_FILTER = 1
/** Or Linux before 5.16 has what is filtered run without speculative stores, which costs far more than this saves. */
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
const SECCOMP_RET_ALLOW = 0x7fff_0000
/** With the number of an error; without one the call has succeeded without being made. */
const SECCOMP_RET_ERRNO = 0x5_0000
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16
const MEMBARRIER = {
  amd64: { arch: 0xc000_003e, number: 324 },
  arm64: { arch: 0xc000_00b7, number: 283 },
} as const satisfies Record<Architecture, object>

const BPF_LD_W_ABS = 0x20
const BPF_JEQ_K = 0x15
const BPF_RET_K = 0x06
/** Offsets in struct seccomp_data. */
const DATA_NUMBER = 0
const DATA_ARCH = 4
const DATA_ARGUMENT = 16
const SOCK_FPROG_SIZE = 16

/**
 * runsc moves the container's output to descriptors from 256 on. A process with threads that has more descriptors than fit
 * its table waits for a grace period; one that was started with so many has the room.
 */
const HIGH_DESCRIPTOR = 511

/**
 * `skip-grace-periods COMMAND ARGS…`: becomes COMMAND, which then does not wait for grace periods of the kernel's RCU, 5 to
 * 20 ms each, where nothing is gained by it. Every process of runsc, some seven for a sandbox, registers for private
 * expedited memory barriers when it starts (membarrier(2)), which no platform but KVM uses, and later builds leave out:
 * here it is told that it is registered, since it would complain of a refusal to whoever reads its output. Where the filter
 * cannot be set, without the right to, COMMAND starts as it would have.
 */
export function skipGracePeriodsProgram(architecture: Architecture): Program {
  const filter = pretence(MEMBARRIER[architecture])
  return {
    code: [
      { op: 'stack', to: 'a' },
      // struct sock_fprog: how many instructions, and where.
      { op: 'set', to: 'b', value: { address: 'program' } },
      { op: 'set', to: 'c', value: filter.length / 8 },
      { op: 'store', from: 'c', base: 'b', offset: 0, bits: 32 },
      { op: 'set', to: 'c', value: { address: 'filter' } },
      { op: 'store', from: 'c', base: 'b', offset: 8, bits: 64 },
      { op: 'syscall', name: 'seccomp', args: [SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, 'b'] },
      // Of what nobody can do anything with.
      { op: 'syscall', name: 'eventfd2', args: [0, 0], result: 'b' },
      { op: 'jump', to: 'command', variable: 'b', when: 'negative' },
      { op: 'syscall', name: 'dup3', args: ['b', HIGH_DESCRIPTOR, 0] },
      { op: 'syscall', name: 'close', args: ['b'] },
      { op: 'label', name: 'command' },
      ...environmentBehind('a'),
      { op: 'load', to: 'c', base: 'a', offset: 16, bits: 64 },
      { op: 'add', to: 'a', value: 16 },
      { op: 'syscall', name: 'execve', args: ['c', 'a', 'b'] },
      { op: 'syscall', name: 'exit_group', args: [127] },
    ],
    data: { filter },
    memory: { program: SOCK_FPROG_SIZE },
  }
}

/** Instructions of classic BPF: the registration succeeds without being made, everything else as it is. */
function pretence({ arch, number }: { arch: number; number: number }): Uint8Array {
  const instructions: Array<[code: number, ifSo: number, ifNot: number, value: number]> = [
    [BPF_LD_W_ABS, 0, 0, DATA_ARCH],
    [BPF_JEQ_K, 0, 5, arch],
    [BPF_LD_W_ABS, 0, 0, DATA_NUMBER],
    [BPF_JEQ_K, 0, 3, number],
    [BPF_LD_W_ABS, 0, 0, DATA_ARGUMENT],
    [BPF_JEQ_K, 0, 1, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED],
    [BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO],
    [BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW],
  ]
  const bytes = Buffer.alloc(instructions.length * 8)
  for (const [index, [code, ifSo, ifNot, value]] of instructions.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.set([ifSo, ifNot], index * 8 + 2)
    bytes.writeUInt32LE(value, index * 8 + 4)
  }
  return bytes
}
