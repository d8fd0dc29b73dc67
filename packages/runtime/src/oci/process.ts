import type { OciProcess } from './spec.ts'

export interface ProcessOptions {
  args: string[]
  env: Record<string, string>
  cwd: string
  user: { uid: number; gid: number; additionalGids: number[] }
  capabilities: string[]
  privileged: boolean
  noNewPrivileges: boolean
  tty: boolean
  size?: { columns: number; rows: number }
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

// The field's engines all give a million; without it a container has the daemon's own limit.
const OPEN_FILES = 1_048_576

// Everything that Linux 6 knows, for `privileged`.
const ALL_CAPABILITIES = [
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER',
  'FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE',
  'NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE',
  'SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM',
]
  .flatMap((line) => line.split(' '))
  .map((name) => `CAP_${name}`)

/** An OCI process; the environment gets a PATH and, with a terminal, a TERM where it has none. */
export function ociProcess(options: ProcessOptions): OciProcess {
  const capabilities = options.privileged ? ALL_CAPABILITIES : [...new Set(options.capabilities)].sort()
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

function environment(options: ProcessOptions): string[] {
  const merged = new Map([['PATH', DEFAULT_PATH]])
  if (options.tty) merged.set('TERM', 'xterm')
  for (const [name, value] of Object.entries(options.env)) merged.set(name, value)
  return [...merged].map(([name, value]) => `${name}=${value}`)
}
