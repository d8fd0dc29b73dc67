/** The parts of the OCI runtime specification (1.0) that are used here. */
export interface OciSpec {
  ociVersion: string
  process: OciProcess
  root: { path: string; readonly: boolean }
  hostname: string
  mounts: OciMount[]
  annotations: Record<string, string>
  linux: {
    namespaces: Array<{ type: 'pid' | 'network' | 'ipc' | 'uts' | 'mount' | 'cgroup'; path?: string }>
    cgroupsPath?: string
    maskedPaths?: string[]
    readonlyPaths?: string[]
    devices?: unknown[]
    resources?: unknown
    seccomp?: unknown
    sysctl?: Record<string, string>
    rootfsPropagation?: string
  }
}

export interface OciProcess {
  terminal: boolean
  consoleSize?: { width: number; height: number }
  user: { uid: number; gid: number; additionalGids: number[] }
  args: string[]
  env: string[]
  cwd: string
  capabilities: Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', string[]>
  rlimits: Array<{ type: string; hard: number; soft: number }>
  noNewPrivileges: boolean
}

export interface OciMount {
  destination: string
  type: string
  source: string
  options: string[]
}
