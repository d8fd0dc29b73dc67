import { readFileSync } from 'node:fs'
import type { RuntimeHandler } from '../runtime.ts'
import type { OciProcess } from './spec.ts'

export interface ProcessOptions {
  args: string[]
  env: Record<string, string>
  cwd: string
  user: { uid: number; gid: number; additionalGids: number[] }
  capabilities: string[]
  privileged: boolean
  handler: RuntimeHandler
  noNewPrivileges: boolean
  tty: boolean
  size?: { columns: number; rows: number }
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

// The field's engines all give a million, where they may: raising one's own limit takes a capability.
const OPEN_FILES = Math.min(1_048_576, ownOpenFilesLimit())

// Everything that Linux 6 knows, in the order of the kernel's numbers.
const ALL_CAPABILITIES = [
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE',
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN',
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE',
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE',
]
  .flatMap((line) => line.split(' '))
  .map((name) => `CAP_${name}`)

// Nobody can give what they do not have: the machine may itself be a container.
const GRANTABLE = new Set(ALL_CAPABILITIES.filter((_, number) => (ownBoundingSet() >> BigInt(number)) & 1n))

/** An OCI process; the environment gets a PATH and, with a terminal, a TERM where it has none. */
export function ociProcess(options: ProcessOptions): OciProcess {
  const wanted = options.privileged ? ALL_CAPABILITIES : [...new Set(options.capabilities)]
  const capabilities = wanted.filter((name) => isGiven(name, options)).sort()
  // As the kernel does when root executes for another user: what may be gained is kept, what is had is not.
  const held = options.user.uid === 0 ? capabilities : []
  return {
    terminal: options.tty,
    ...(options.tty && options.size ? { consoleSize: { width: options.size.columns, height: options.size.rows } } : {}),
    user: options.user,
    args: options.args,
    env: environment(options),
    cwd: options.cwd,
    capabilities: { bounding: capabilities, effective: held, permitted: held, inheritable: [], ambient: [] },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: OPEN_FILES, soft: OPEN_FILES }],
    noNewPrivileges: options.noNewPrivileges,
  }
}

/** The bits of capabilities in a kernel's numbering; more than 32 of them, so never an operand of Node's own bit operators. */
export function capabilityBits(names: readonly string[]): number {
  return names.reduce((bits, name) => bits + 2 ** ALL_CAPABILITIES.indexOf(name), 0)
}

function isGiven(name: string, { handler, privileged }: ProcessOptions): boolean {
  // A sentry's capabilities are those of its own kernel.
  if (handler === 'runsc') return true
  // crun runs without a cgroup that says which devices may be opened: who can make them has the machine's disks.
  if (name === 'CAP_MKNOD' && handler === 'crun' && !privileged) return false
  return GRANTABLE.has(name)
}

function environment(options: ProcessOptions): string[] {
  const merged = new Map([['PATH', DEFAULT_PATH]])
  if (options.tty) merged.set('TERM', 'xterm')
  for (const [name, value] of Object.entries(options.env)) merged.set(name, value)
  return [...merged].map(([name, value]) => `${name}=${value}`)
}

function ownOpenFilesLimit(): number {
  const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1] ?? 1024)
}

function ownBoundingSet(): bigint {
  return BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`)
}
