/** What is written to a control group, and what is read from it: the one place that knows the names of both versions. */
import type { Controller } from './cgroup-tree.ts'

/** Undefined is no limit. */
export interface ResourceLimits {
  memoryBytes?: number
  /** Thousandths of a processor. */
  cpuMillicores?: number
  /** Share of the processors while they are contended, in the same unit. */
  cpuRequestMillicores?: number
  /** Tasks: processes and threads. */
  pids?: number
}

export interface CgroupFile {
  controller: Controller
  file: string
  value: string
}

const PERIOD_US = 100_000
/** The kernel's least quota, 1 ms of a period. */
const LEAST_QUOTA_US = 1_000
/** Kubernetes' bounds and conversion of `cpu.shares`: 1024 a processor. */
const LEAST_SHARES = 2
const MOST_SHARES = 262_144

/** A quota of a group within another one may not be more than that one's: version 1 of control groups refuses it. */
export function within(limits: ResourceLimits, { cpuMillicores }: ResourceLimits): ResourceLimits {
  if (cpuMillicores === undefined || limits.cpuMillicores === undefined) return limits
  return { ...limits, cpuMillicores: Math.min(limits.cpuMillicores, cpuMillicores) }
}

/** The more memory and processors of the two, no limit where one has none; the rest as `b` has it. */
export function mostOf(a: ResourceLimits, b: ResourceLimits): ResourceLimits {
  const most = { ...b }
  for (const name of ['memoryBytes', 'cpuMillicores'] as const) {
    const [one, other] = [a[name], b[name]]
    if (one === undefined || other === undefined) delete most[name]
    else most[name] = Math.max(one, other)
  }
  return most
}

export function cgroupFiles(version: 1 | 2, limits: ResourceLimits): CgroupFile[] {
  const { memoryBytes, cpuMillicores, pids } = limits
  const files: CgroupFile[] = []
  const shares = cpuShares(limits)
  if (version === 1) {
    files.push({ controller: 'cpu', file: 'cpu.shares', value: String(shares) })
  } else {
    // The same as systemd and the kubelet convert it: 2 to 262144 onto 1 to 10000.
    const weight = 1 + Math.floor(((shares - LEAST_SHARES) * 9_999) / (MOST_SHARES - LEAST_SHARES))
    files.push({ controller: 'cpu', file: 'cpu.weight', value: String(weight) })
  }
  if (cpuMillicores !== undefined) {
    const quota = cpuQuota(cpuMillicores)
    if (version === 1) {
      files.push({ controller: 'cpu', file: 'cpu.cfs_period_us', value: String(PERIOD_US) })
      files.push({ controller: 'cpu', file: 'cpu.cfs_quota_us', value: String(quota) })
    } else {
      files.push({ controller: 'cpu', file: 'cpu.max', value: `${quota} ${PERIOD_US}` })
    }
  }
  if (memoryBytes !== undefined) {
    const file = version === 1 ? 'memory.limit_in_bytes' : 'memory.max'
    files.push({ controller: 'memory', file, value: String(memoryBytes) })
  }
  if (pids !== undefined) files.push({ controller: 'pids', file: 'pids.max', value: String(pids) })
  return files
}

/** What the kernel gives to a process of the machine's own, which competes with groups as one of them. */
const PROCESS_SHARES = 1024
const PROCESS_WEIGHT = 100
const MOST_WEIGHT = 10_000

/**
 * For the group of all sandboxes: on each processor they count as much as a process of the machine's own. With the weight
 * that the kernel gives to a new group they would share that of one process between them, on all processors together.
 */
export function weightOfAll(version: 1 | 2, processors: number): CgroupFile {
  if (version === 1)
    return {
      controller: 'cpu',
      file: 'cpu.shares',
      value: String(Math.min(processors * PROCESS_SHARES, MOST_SHARES)),
    }
  return { controller: 'cpu', file: 'cpu.weight', value: String(Math.min(processors * PROCESS_WEIGHT, MOST_WEIGHT)) }
}

/** The same for an OCI runtime that makes the group itself. */
export function cgroupResources(limits: ResourceLimits): object {
  const { memoryBytes, cpuMillicores, pids } = limits
  return {
    ...(memoryBytes !== undefined && { memory: { limit: memoryBytes } }),
    cpu: {
      shares: cpuShares(limits),
      ...(cpuMillicores !== undefined && { quota: cpuQuota(cpuMillicores), period: PERIOD_US }),
    },
    ...(pids !== undefined && { pids: { limit: pids } }),
  }
}

function cpuShares({ cpuRequestMillicores = 0 }: ResourceLimits): number {
  return Math.min(Math.max(Math.floor((cpuRequestMillicores * 1024) / 1000), LEAST_SHARES), MOST_SHARES)
}

/** µs of each period. */
function cpuQuota(millicores: number): number {
  return Math.max(Math.floor((millicores * PERIOD_US) / 1000), LEAST_QUOTA_US)
}

/** What a sandbox uses, its kernel included. */
export interface ResourceUsage {
  /** Since it began. */
  cpuNanoseconds: number
  memoryBytes: number
  /** Without what the kernel can take back at once: what limits and eviction go by. */
  workingSetBytes: number
  pids: number
}

/** Files that the usage is read from. */
export const USAGE_FILES = {
  1: {
    cpu: { controller: 'cpuacct', file: 'cpuacct.usage' },
    memory: { controller: 'memory', file: 'memory.usage_in_bytes' },
    memoryStat: { controller: 'memory', file: 'memory.stat' },
    oom: { controller: 'memory', file: 'memory.oom_control' },
    pids: { controller: 'pids', file: 'pids.current' },
  },
  2: {
    cpu: { controller: 'cpu', file: 'cpu.stat' },
    memory: { controller: 'memory', file: 'memory.current' },
    memoryStat: { controller: 'memory', file: 'memory.stat' },
    oom: { controller: 'memory', file: 'memory.events' },
    pids: { controller: 'pids', file: 'pids.current' },
  },
} as const satisfies Record<1 | 2, Record<string, { controller: Controller; file: string }>>

/** @param texts contents of the files above; one that could not be read is empty */
export function parseUsage(
  version: 1 | 2,
  texts: { cpu: string; memory: string; memoryStat: string; pids: string },
): ResourceUsage {
  const memoryBytes = Number(texts.memory) || 0
  const inactive = statistic(texts.memoryStat, version === 1 ? 'total_inactive_file' : 'inactive_file')
  return {
    cpuNanoseconds: version === 1 ? Number(texts.cpu) || 0 : statistic(texts.cpu, 'usage_usec') * 1000,
    memoryBytes,
    workingSetBytes: Math.max(memoryBytes - inactive, 0),
    pids: Number(texts.pids) || 0,
  }
}

/** How many processes of the group the kernel has killed for want of memory. */
export function parseOomKills(text: string): number {
  return statistic(text, 'oom_kill')
}

/** Lines of `NAME NUMBER`. */
function statistic(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1)) || 0
}
