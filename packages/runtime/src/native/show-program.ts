/** What is shown of this machine's directories in another place: nothing of them that not everybody may read. */
import type { Instruction, Program } from './assembler.ts'

const SIGCHLD = 17
const ENOENT = -2
const EACCES = -13
const MS_RDONLY_NOSUID_NODEV = 1 | 2 | 4
const MS_RDONLY_NOSUID_NODEV_NOEXEC = MS_RDONLY_NOSUID_NODEV | 8
const MS_BIND_REC = 0x1000 | 0x4000
const MS_REMOUNT_BIND_RDONLY = 0x20 | 0x1000 | MS_RDONLY_NOSUID_NODEV

/** Ids that own nothing, for looking as somebody who is nobody in particular. */
export interface Stranger {
  uid: number
  gid: number
}

export interface ShownDirectory {
  /** Absolute. */
  source: string
  /** A directory that is there: absolute, or relative to where the program runs. */
  target: string
  /** As whom it is looked at; undefined for a bind of it as it is, with what is mounted below it. */
  as?: Stranger | undefined
  /** It is no failure where the target is not there, and that the source cannot be shown leaves the target empty or as it was. */
  mayLack?: boolean
}

/**
 * Instructions that mount directories, read-only and in this order, and jump to `failed` where one cannot be. They use the
 * variables b and c. With `data` and `memory` they are a part of a program.
 *
 * What a stranger looks at is an overlay of that directory alone, without what is mounted below it. An overlay asks twice:
 * whoever opens something, and whoever mounted it, with the rights that he had then (Documentation/filesystems/overlayfs.rst,
 * "Permission model"). He is a child that gave up being root for it, so that no right of a later reader opens what not
 * everybody may read: by any name, and also where it came, or became so, after it was mounted.
 */
export function showInstructions(shown: readonly ShownDirectory[]): Required<Program> {
  const code: Instruction[] = []
  const data: Record<string, Uint8Array> = {
    tmpfs: cString('tmpfs'),
    'empty options': cString('mode=755,size=4k'),
    overlay: cString('overlay'),
    here: cString('.'),
  }
  for (const [index, directory] of shown.entries()) {
    data[`target ${index}`] = cString(directory.target)
    data[`source ${index}`] = cString(directory.source)
    data[`layers ${index}`] = cString(`lowerdir=${escapeLayer(directory.source)}:.`)
    code.push(...(directory.as ? look(index, directory, directory.as) : bind(index, directory)))
  }
  return { code, data, memory: { status: 4 } }
}

/** Mounts what it was made for where it runs. Exit status 1 where something cannot be mounted. */
export function showProgram(shown: readonly ShownDirectory[]): Program {
  const { code, ...rest } = showInstructions(shown)
  return {
    ...rest,
    code: [
      ...code,
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
  }
}

/** A path as the kernel reads it in an overlay's options. */
export function escapeLayer(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`)
}

/** Whom the last id of this process's user namespace belongs to is nobody, unless it is root's as well: then undefined. */
export function strangerOf(maps: { uid: string; gid: string }): Stranger | undefined {
  const [uid, gid] = [lastId(maps.uid), lastId(maps.gid)]
  return uid > 0 && gid > 0 ? { uid, gid } : undefined
}

/** @param map as /proc/self/uid_map has it: lines of first id, first id outside, number of them */
function lastId(map: string): number {
  const ends = map.split('\n').map((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number)
    return first + count - 1
  })
  return Math.max(0, ...ends)
}

function look(index: number, { mayLack = false }: ShownDirectory, { uid, gid }: Stranger): Instruction[] {
  const target = { address: `target ${index}` }
  const [tmpfs, overlay, here] = [{ address: 'tmpfs' }, { address: 'overlay' }, { address: 'here' }]
  const [child, refused, done] = [`look ${index}`, `refused ${index}`, `shown ${index}`]
  const orRefused = (name: 'mount' | 'chdir' | 'setgroups', args: Extract<Instruction, { op: 'syscall' }>['args']) => [
    { op: 'syscall', name, args, result: 'b' } as const,
    { op: 'jump', to: refused, variable: 'b', when: 'negative' } as const,
  ]
  return [
    { op: 'syscall', name: 'clone', args: [SIGCHLD, 0, 0, 0, 0], result: 'b' },
    { op: 'jump', to: child, variable: 'b', when: 'zero' },
    { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
    { op: 'syscall', name: 'wait4', args: ['b', { address: 'status' }, 0, 0], result: 'b' },
    { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
    { op: 'set', to: 'c', value: { address: 'status' } },
    { op: 'load', to: 'b', base: 'c', offset: 0, bits: 32 },
    { op: 'jump', to: done, variable: 'b', when: 'zero' },
    { op: 'jump', to: mayLack ? done : 'failed', when: 'always' },
    { op: 'label', name: child },
    // An overlay that nothing is written to has two layers at least. The other one is empty, and `.` because a stranger may
    // not come by any path to what nobody but root may enter.
    ...orRefused('mount', [tmpfs, target, tmpfs, MS_RDONLY_NOSUID_NODEV_NOEXEC, { address: 'empty options' }]),
    ...orRefused('chdir', [target]),
    ...orRefused('setgroups', [0, 0]),
    { op: 'syscall', name: 'setfsgid', args: [gid] },
    // Takes what root may do with everybody's files too (capabilities(7), "Effect of user ID changes").
    { op: 'syscall', name: 'setfsuid', args: [uid] },
    ...orRefused('mount', [overlay, here, overlay, MS_RDONLY_NOSUID_NODEV, { address: `layers ${index}` }]),
    { op: 'syscall', name: 'exit_group', args: [0] },
    { op: 'label', name: refused },
    { op: 'syscall', name: 'exit_group', args: [1] },
    { op: 'label', name: done },
  ]
}

function bind(index: number, { mayLack = false }: ShownDirectory): Instruction[] {
  const target = { address: `target ${index}` }
  const done = `bound ${index}`
  return [
    { op: 'syscall', name: 'mount', args: [{ address: `source ${index}` }, target, 0, MS_BIND_REC, 0], result: 'b' },
    ...(mayLack ? [ENOENT, EACCES] : []).map(
      (equals): Instruction => ({ op: 'jump', to: done, variable: 'b', when: { equals } }),
    ),
    { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
    { op: 'syscall', name: 'mount', args: [0, target, 0, MS_REMOUNT_BIND_RDONLY, 0], result: 'b' },
    { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
    { op: 'label', name: done },
  ]
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}
