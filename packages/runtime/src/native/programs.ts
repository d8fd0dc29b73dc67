import type { Instruction, Program, Syscall, Value, Variable } from './assembler.ts'
import { environmentBehind } from './environment.ts'
import { type ShownDirectory, showInstructions } from './show-program.ts'

const SIGCHLD = 17
const SIGKILL = 9
const EINTR = -4
const PR_SET_PDEATHSIG = 1
const PR_SET_CHILD_SUBREAPER = 36
const CLONE_NEWNS = 0x2_0000
const CLONE_NEWNET = 0x4000_0000
const MS_RDONLY_NOSUID_NODEV_NOEXEC = 1 | 2 | 4 | 8
const MS_REC_SLAVE = 0x4000 | 0x8_0000
const POLLIN = 1
const TIOCSWINSZ = 0x5414
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SHUT_WR = 1
const SOCKADDR_IN = 16
const SOCKADDR_IN6 = 28
const ADDRESSES_SIZE = SOCKADDR_IN + SOCKADDR_IN6
const SIOCSIFFLAGS = 0x8914
const COPY_BUFFER = 65_536
const CONTROL_SIZE = 64

/** Status that stands in the first record of `launch`, which only names the process that it started. */
export const LAUNCHED = -1

/**
 * Does nothing for ever: the first process of a sandbox that several containers share. As process 1 of its namespace it
 * cannot be ended by a signal from inside.
 */
export function pauseProgram(): Program {
  return {
    code: [
      { op: 'label', name: 'again' },
      { op: 'syscall', name: 'wait4', args: [-1, 0, 0, 0], result: 'a' },
      { op: 'jump', to: 'sleep', variable: 'a', when: 'negative' },
      { op: 'jump', to: 'again', when: 'always' },
      { op: 'label', name: 'sleep' },
      { op: 'syscall', name: 'ppoll', args: [0, 0, 0, 0] },
      { op: 'jump', to: 'again', when: 'always' },
    ],
  }
}

export interface LaunchOptions {
  /**
   * Shows COMMAND an empty /proc/sys/net: what runsc before August 2024 needs on Linux 6.8 and newer (gVisor issue 10704).
   */
  coverNetworkSysctls: boolean
  /** Gives COMMAND a network namespace of its own, with nothing but a loopback interface that is up. */
  privateNetwork: boolean
  /** Directories that COMMAND sees, read-only, in other places, which are absolute. */
  shown: readonly ShownDirectory[]
  /** Ends with its parent, and COMMAND with it, however that one ends; otherwise both outlive it. */
  diesWithParent: boolean
}

/**
 * `launch COMMAND ARGS…`: becomes the reaper of everything that COMMAND leaves behind, and appends a record of two
 * 32-bit integers, process id and wait status, to descriptor 3 for each process that ends. The very first record names
 * COMMAND itself with the status `LAUNCHED`. So the exit status of a detached container is on disk whatever happens to
 * whoever asked for it. Descriptors 3 to 6 stay here and are never COMMAND's: 4 is held open as the sign of life, 5 and 6
 * so that the container's output has a reader while its monitor is being replaced. COMMAND writes `0` to 7 to 10 before
 * all else: control groups that it joins, or nothing that minds.
 *
 * Where there is something to mount, COMMAND gets a mount namespace of its own: the machine sees none of it, and nothing
 * is left to unmount.
 */
export function launchProgram(options: LaunchOptions): Program {
  const shown = showInstructions(options.shown)
  const data: Record<string, Uint8Array> = {
    ...shown.data,
    root: cString('/'),
    sysctls: cString('/proc/sys/net'),
    self: cString('0'),
  }
  const mounts: Instruction[] = []
  const { diesWithParent } = options
  const call = (name: Syscall, args: Value[]): void => {
    mounts.push(
      { op: 'syscall', name, args, result: 'b' },
      { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
    )
  }
  if (options.privateNetwork) {
    data.loopback = loopbackUp()
    call('unshare', [CLONE_NEWNET])
    mounts.push({ op: 'syscall', name: 'socket', args: [AF_INET, SOCK_DGRAM, 0], result: 'c' })
    call('ioctl', ['c', SIOCSIFFLAGS, { address: 'loopback' }])
    mounts.push({ op: 'syscall', name: 'close', args: ['c'] })
  }
  if (options.coverNetworkSysctls || options.shown.length > 0) {
    call('unshare', [CLONE_NEWNS])
    call('mount', [0, { address: 'root' }, 0, MS_REC_SLAVE, 0])
  }
  if (options.coverNetworkSysctls) {
    const tmpfs = { address: 'tmpfs' }
    call('mount', [tmpfs, { address: 'sysctls' }, tmpfs, MS_RDONLY_NOSUID_NODEV_NOEXEC, 0])
  }
  mounts.push(...shown.code)
  return {
    code: [
      { op: 'stack', to: 'a' },
      { op: 'set', to: 'd', value: { address: 'record' } },
      ...(diesWithParent ? dieWithStarter() : []),
      { op: 'syscall', name: 'prctl', args: [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0] },
      { op: 'syscall', name: 'clone', args: [SIGCHLD, 0, 0, 0, 0], result: 'b' },
      { op: 'jump', to: 'command', variable: 'b', when: 'zero' },
      { op: 'set', to: 'c', value: LAUNCHED },
      { op: 'store', from: 'c', base: 'd', offset: 4, bits: 32 },
      { op: 'label', name: 'record' },
      { op: 'store', from: 'b', base: 'd', offset: 0, bits: 32 },
      { op: 'syscall', name: 'write', args: [3, 'd', 8] },
      { op: 'label', name: 'reap' },
      { op: 'syscall', name: 'wait4', args: [-1, { address: 'record', offset: 4 }, 0, 0], result: 'b' },
      { op: 'jump', to: 'reap', variable: 'b', when: { equals: EINTR } },
      { op: 'jump', to: 'done', variable: 'b', when: 'negative' },
      { op: 'jump', to: 'record', when: 'always' },
      { op: 'label', name: 'done' },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'command' },
      ...(diesWithParent ? dieWithParent('command') : []),
      ...joinGroups(),
      ...mounts,
      // Whatever else was inherited, from us or from who started us: nothing of it belongs into a sandbox. Before Linux 5.9
      // there is only a way to close what we know of.
      { op: 'syscall', name: 'close_range', args: [3, -1, 0] },
      ...[3, 4, 5, 6, ...JOINED_GROUPS].map((fd): Instruction => ({ op: 'syscall', name: 'close', args: [fd] })),
      ...environmentBehind('a'),
      { op: 'load', to: 'c', base: 'a', offset: 16, bits: 64 },
      { op: 'add', to: 'a', value: 16 },
      { op: 'syscall', name: 'execve', args: ['c', 'a', 'b'] },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [127] },
    ],
    data,
    memory: { ...shown.memory, record: 8 },
  }
}

/** Descriptors of `launch` for control groups: as many as there are hierarchies. */
const JOINED_GROUPS = [7, 8, 9, 10]
export const JOINED_GROUPS_LIMIT = JOINED_GROUPS.length

function joinGroups(): Instruction[] {
  return JOINED_GROUPS.flatMap((fd): Instruction[] => [
    { op: 'syscall', name: 'write', args: [fd, { address: 'self' }, 1], result: 'b' },
    { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
  ])
}

/**
 * Takes the master of a terminal from the connected socket on descriptor 3, as OCI runtimes send it, and carries bytes:
 * descriptor 0 to the terminal, the terminal to descriptor 1, and window sizes (struct winsize, 8 bytes) from
 * descriptor 4. Ends when the other side of the terminal is closed.
 */
export function consoleProgram(): Program {
  return {
    code: [
      // struct msghdr: the payload is the terminal's name and is ignored; the descriptor comes as control data.
      { op: 'set', to: 'b', value: { address: 'message' } },
      { op: 'set', to: 'c', value: { address: 'vector' } },
      { op: 'store', from: 'c', base: 'b', offset: 16, bits: 64 },
      { op: 'set', to: 'd', value: { address: 'buffer' } },
      { op: 'store', from: 'd', base: 'c', offset: 0, bits: 64 },
      { op: 'set', to: 'd', value: COPY_BUFFER },
      { op: 'store', from: 'd', base: 'c', offset: 8, bits: 64 },
      { op: 'set', to: 'c', value: 1 },
      { op: 'store', from: 'c', base: 'b', offset: 24, bits: 64 },
      { op: 'set', to: 'c', value: { address: 'control' } },
      { op: 'store', from: 'c', base: 'b', offset: 32, bits: 64 },
      { op: 'set', to: 'c', value: CONTROL_SIZE },
      { op: 'store', from: 'c', base: 'b', offset: 40, bits: 64 },
      // The socket does not block, and some runtimes connect long before they send.
      { op: 'set', to: 'b', value: { address: 'poll' } },
      { op: 'set', to: 'c', value: 3 },
      { op: 'store', from: 'c', base: 'b', offset: 0, bits: 32 },
      { op: 'set', to: 'c', value: POLLIN },
      { op: 'store', from: 'c', base: 'b', offset: 4, bits: 32 },
      { op: 'syscall', name: 'ppoll', args: ['b', 1, 0, 0] },
      { op: 'syscall', name: 'recvmsg', args: [3, { address: 'message' }, 0], result: 'a' },
      { op: 'jump', to: 'failed', variable: 'a', when: 'negative' },
      // cmsghdr of SCM_RIGHTS is 16 bytes, the descriptor comes behind it.
      { op: 'set', to: 'b', value: { address: 'control' } },
      { op: 'load', to: 'a', base: 'b', offset: 0, bits: 64 },
      { op: 'jump', to: 'failed', variable: 'a', when: 'zero' },
      { op: 'load', to: 'a', base: 'b', offset: 16, bits: 32 },
      { op: 'syscall', name: 'close', args: [3] },
      { op: 'syscall', name: 'getpid', args: [], result: 'e' },
      { op: 'syscall', name: 'clone', args: [SIGCHLD, 0, 0, 0, 0], result: 'b' },
      { op: 'jump', to: 'input', variable: 'b', when: 'zero' },
      { op: 'syscall', name: 'clone', args: [SIGCHLD, 0, 0, 0, 0], result: 'b' },
      { op: 'jump', to: 'resize', variable: 'b', when: 'zero' },
      ...copyLoop('output', 'a', 1),
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'input' },
      ...dieWithParent('input'),
      ...copyLoop('typed', 0, 'a'),
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'resize' },
      ...dieWithParent('resize'),
      { op: 'label', name: 'next size' },
      { op: 'syscall', name: 'read', args: [4, { address: 'buffer' }, 8], result: 'b' },
      { op: 'jump', to: 'set size', variable: 'b', when: { equals: 8 } },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'set size' },
      { op: 'syscall', name: 'ioctl', args: ['a', TIOCSWINSZ, { address: 'buffer' }] },
      { op: 'jump', to: 'next size', when: 'always' },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
    ],
    memory: { poll: 8, message: 56, vector: 16, control: CONTROL_SIZE, buffer: COPY_BUFFER },
  }
}

/**
 * Connects within the network namespace on descriptor 3 and carries bytes between the connection and descriptors 0 and 1.
 * The first bytes of descriptor 0 are the addresses to try, `loopbackAddresses`. The first byte on descriptor 1 says that
 * it is connected; exit status 1 that nobody listens.
 */
export function netnsConnectProgram(): Program {
  return {
    code: [
      { op: 'syscall', name: 'read', args: [0, { address: 'addresses' }, ADDRESSES_SIZE], result: 'b' },
      { op: 'jump', to: 'ready', variable: 'b', when: { equals: ADDRESSES_SIZE } },
      { op: 'jump', to: 'failed', when: 'always' },
      { op: 'label', name: 'ready' },
      { op: 'syscall', name: 'setns', args: [3, CLONE_NEWNET], result: 'b' },
      { op: 'jump', to: 'failed', variable: 'b', when: 'negative' },
      { op: 'syscall', name: 'close', args: [3] },
      { op: 'syscall', name: 'socket', args: [AF_INET, SOCK_STREAM, 0], result: 'a' },
      { op: 'syscall', name: 'connect', args: ['a', { address: 'addresses' }, SOCKADDR_IN], result: 'b' },
      { op: 'jump', to: 'connected', variable: 'b', when: 'zero' },
      { op: 'syscall', name: 'socket', args: [AF_INET6, SOCK_STREAM, 0], result: 'a' },
      {
        op: 'syscall',
        name: 'connect',
        args: ['a', { address: 'addresses', offset: SOCKADDR_IN }, SOCKADDR_IN6],
        result: 'b',
      },
      { op: 'jump', to: 'connected', variable: 'b', when: 'zero' },
      { op: 'label', name: 'failed' },
      { op: 'syscall', name: 'exit_group', args: [1] },
      { op: 'label', name: 'connected' },
      // One byte says so: without it "refused" and "closed at once" look the same.
      { op: 'syscall', name: 'write', args: [1, { address: 'addresses' }, 1] },
      { op: 'syscall', name: 'getpid', args: [], result: 'e' },
      { op: 'syscall', name: 'clone', args: [SIGCHLD, 0, 0, 0, 0], result: 'b' },
      { op: 'jump', to: 'sending', variable: 'b', when: 'zero' },
      ...copyLoop('received', 'a', 1),
      { op: 'syscall', name: 'close', args: [1] },
      { op: 'syscall', name: 'wait4', args: [-1, 0, 0, 0] },
      { op: 'syscall', name: 'exit_group', args: [0] },
      { op: 'label', name: 'sending' },
      ...dieWithParent('sending'),
      { op: 'syscall', name: 'close', args: [1] },
      ...copyLoop('sent', 0, 'a'),
      { op: 'syscall', name: 'shutdown', args: ['a', SHUT_WR] },
      { op: 'syscall', name: 'exit_group', args: [0] },
    ],
    memory: { addresses: ADDRESSES_SIZE, buffer: COPY_BUFFER },
  }
}

/** Ends `launch` with who started it, and leaves its own id in e for its child. */
function dieWithStarter(): Instruction[] {
  return [
    { op: 'syscall', name: 'getppid', args: [], result: 'e' },
    ...dieWithParent('launch'),
    { op: 'syscall', name: 'getpid', args: [], result: 'e' },
  ]
}

/**
 * Ends the process with its parent, whose id is in the variable e: also where the parent had ended before this could be
 * asked for, which leaves a process for ever that waits for what nobody will write.
 */
function dieWithParent(label: string): Instruction[] {
  return [
    { op: 'syscall', name: 'prctl', args: [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0] },
    { op: 'syscall', name: 'getppid', args: [], result: 'b' },
    { op: 'subtract', to: 'b', value: 'e' },
    { op: 'jump', to: `${label} has a parent`, variable: 'b', when: 'zero' },
    { op: 'syscall', name: 'exit_group', args: [0] },
    { op: 'label', name: `${label} has a parent` },
  ]
}

/** Falls through at end-of-file or at any error. Uses the variables b to e. */
function copyLoop(name: string, from: Value, to: Value): Instruction[] {
  const written: Variable = 'd'
  return [
    { op: 'label', name: `${name} read` },
    { op: 'syscall', name: 'read', args: [from, { address: 'buffer' }, COPY_BUFFER], result: 'b' },
    { op: 'jump', to: `${name} end`, variable: 'b', when: 'negative' },
    { op: 'jump', to: `${name} end`, variable: 'b', when: 'zero' },
    { op: 'set', to: 'c', value: { address: 'buffer' } },
    // b bytes are left to write, from c on.
    { op: 'label', name: `${name} write` },
    { op: 'syscall', name: 'write', args: [to, 'c', 'b'], result: written },
    { op: 'jump', to: `${name} end`, variable: written, when: 'negative' },
    { op: 'add', to: 'c', value: written },
    { op: 'subtract', to: 'b', value: written },
    { op: 'jump', to: `${name} read`, variable: 'b', when: 'zero' },
    { op: 'jump', to: `${name} write`, when: 'always' },
    { op: 'label', name: `${name} end` },
  ]
}

/** struct ifreq that sets IFF_UP on `lo`. */
function loopbackUp(): Uint8Array {
  const request = new Uint8Array(40)
  request.set(cString('lo'))
  request[16] = 1
  return request
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}

/** 127.0.0.1 and ::1 with a port: struct sockaddr_in and struct sockaddr_in6. */
export function loopbackAddresses(port: number): Uint8Array {
  const bytes = new Uint8Array(ADDRESSES_SIZE)
  bytes.set([AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1])
  bytes.set([AF_INET6, 0, port >> 8, port & 0xff], SOCKADDR_IN)
  bytes[SOCKADDR_IN + 23] = 1
  return bytes
}
