import type { Program } from './assembler.ts'
import { environmentBehind } from './environment.ts'
import { escapeLayer } from './show-program.ts'

const MS_RDONLY_NOSUID_NODEV = 1 | 2 | 4
const MS_BIND_REC = 0x1000 | 0x4000

/** Stands before the command, in place of another bind. */
const RUN = 'run'
/** `RUN` with the byte that ends it, as a number of four bytes. */
const RUN_WORD = Buffer.from(`${RUN}\0`).readInt32LE()

/** Exit status of `over-rootfs` where the overlay could not be mounted. */
export const OVERLAY_REFUSED = 121

export interface OverRootfs {
  /** Of the overlay: what is the same in several is seen of the first. */
  layers: string[]
  target: string
  /** What is mounted in the first layer, whose mounts an overlay does not show. Absolute paths; the targets are those of the overlay. */
  binds: Array<{ source: string; target: string }>
}

/** Arguments of `over-rootfs`, but for the command's. */
export function overRootfsArguments({ layers, target, binds }: OverRootfs): string[] {
  const options = `lowerdir=${layers.map(escapeLayer).join(':')}`
  return [options, target, ...binds.flatMap((bind) => [bind.source, bind.target]), RUN]
}

/**
 * `over-rootfs OPTIONS TARGET (SOURCE TARGET)… run COMMAND ARGS…`: mounts a read-only overlay, binds directories into it with
 * what is mounted below them, and becomes COMMAND. It belongs into a mount namespace of its own, as `launch` gives: with
 * that the mounts go.
 */
export function overRootfsProgram(): Program {
  return {
    code: [
      { op: 'stack', to: 'a' },
      { op: 'set', to: 'e', value: 'a' },
      { op: 'load', to: 'b', base: 'a', offset: 16, bits: 64 },
      { op: 'load', to: 'c', base: 'a', offset: 24, bits: 64 },
      {
        op: 'syscall',
        name: 'mount',
        args: [{ address: 'overlay' }, 'c', { address: 'overlay' }, MS_RDONLY_NOSUID_NODEV, 'b'],
        result: 'b',
      },
      { op: 'jump', to: 'refused', variable: 'b', when: 'negative' },
      { op: 'add', to: 'a', value: 32 },
      { op: 'label', name: 'next' },
      { op: 'load', to: 'b', base: 'a', offset: 0, bits: 64 },
      { op: 'load', to: 'c', base: 'b', offset: 0, bits: 32 },
      { op: 'set', to: 'd', value: RUN_WORD },
      { op: 'subtract', to: 'c', value: 'd' },
      { op: 'jump', to: 'command', variable: 'c', when: 'zero' },
      { op: 'load', to: 'c', base: 'a', offset: 8, bits: 64 },
      { op: 'syscall', name: 'mount', args: ['b', 'c', 0, MS_BIND_REC, 0], result: 'd' },
      { op: 'jump', to: 'refused', variable: 'd', when: 'negative' },
      { op: 'add', to: 'a', value: 16 },
      { op: 'jump', to: 'next', when: 'always' },
      { op: 'label', name: 'command' },
      { op: 'add', to: 'a', value: 8 },
      ...environmentBehind('e'),
      { op: 'load', to: 'c', base: 'a', offset: 0, bits: 64 },
      { op: 'syscall', name: 'execve', args: ['c', 'a', 'b'] },
      { op: 'syscall', name: 'exit_group', args: [127] },
      { op: 'label', name: 'refused' },
      { op: 'syscall', name: 'exit_group', args: [OVERLAY_REFUSED] },
    ],
    data: { overlay: new TextEncoder().encode('overlay\0') },
  }
}
