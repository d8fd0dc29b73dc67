/** The kubelet's summary (`/stats/summary`, stats.k8s.io v1alpha1): what the node and its Pods use now. */
import { readFile, statfs } from 'node:fs/promises'
import { kubernetesTime } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Runtime, Sandbox } from '@caisson/runtime'
import { SANDBOX_LABELS } from '../pods/observe-pod.ts'
import { createCpuRates } from './cpu-rate.ts'

export interface CpuStats {
  time: string
  usageNanoCores: number
  usageCoreNanoSeconds: number
}

export interface MemoryStats {
  time: string
  availableBytes?: number
  usageBytes: number
  workingSetBytes: number
}

export interface PodStats {
  podRef: { name: string; namespace: string; uid: string }
  startTime: string
  /** Where the sandbox holds one container. Several in one sandbox are not told apart. */
  containers: Array<{ name: string; startTime: string; cpu?: CpuStats; memory?: MemoryStats }>
  cpu?: CpuStats
  memory?: MemoryStats
  process_stats?: { process_count: number }
}

export interface Summary {
  node: {
    nodeName: string
    startTime: string
    cpu: CpuStats
    memory: MemoryStats
    fs: { time: string; availableBytes: number; capacityBytes: number; usedBytes: number }
  }
  pods: PodStats[]
}

export interface SummaryOptions {
  nodeName: string
  runtime: Pick<Runtime, 'list' | 'usage'>
  pods(): readonly PodObject[]
  /** Where Pods' files are: the file system that is told of. */
  directory: string
  now: () => number
}

export function createSummary({ nodeName, runtime, pods, directory, now }: SummaryOptions): () => Promise<Summary> {
  const rates = createCpuRates()

  function cpu(key: string, nanoseconds: number, startedAt: number): CpuStats {
    const at = now()
    const { nanocores } = rates.rate(key, { at, nanoseconds }, startedAt)
    return { time: kubernetesTime(at), usageNanoCores: nanocores, usageCoreNanoSeconds: nanoseconds }
  }

  async function node(): Promise<Summary['node']> {
    const [stat, memoryInfo, files] = await Promise.all([
      readFile('/proc/stat', 'utf8'),
      readFile('/proc/meminfo', 'utf8'),
      statfs(directory),
    ])
    const time = kubernetesTime(now())
    const { busyNanoseconds, bootedAt } = parseProcStat(stat)
    const { total, available, free } = parseMemoryInfo(memoryInfo)
    return {
      nodeName,
      startTime: kubernetesTime(bootedAt),
      cpu: cpu('', busyNanoseconds, bootedAt),
      memory: { time, availableBytes: available, usageBytes: total - free, workingSetBytes: total - available },
      fs: {
        time,
        availableBytes: files.bavail * files.bsize,
        capacityBytes: files.blocks * files.bsize,
        usedBytes: (files.blocks - files.bfree) * files.bsize,
      },
    }
  }

  async function pod(object: PodObject, sandbox: Sandbox): Promise<PodStats> {
    const { name = '', namespace = '', uid = '' } = object.metadata
    const usage = await runtime.usage(sandbox.spec.id)
    const time = kubernetesTime(now())
    const stats = usage && {
      cpu: cpu(sandbox.spec.id, usage.cpuNanoseconds, sandbox.createdAt),
      memory: { time, usageBytes: usage.memoryBytes, workingSetBytes: usage.workingSetBytes },
    }
    const running = (object.status?.containerStatuses ?? []).filter(({ state }) => state?.running)
    return {
      podRef: { name, namespace, uid },
      startTime: object.status?.startTime ?? kubernetesTime(sandbox.createdAt),
      containers: running.map((status) => ({
        name: status.name,
        startTime: status.state?.running?.startedAt ?? '',
        ...(sandbox.spec.shared ? {} : stats),
      })),
      ...stats,
      ...(usage && { process_stats: { process_count: usage.pids } }),
    }
  }

  return async () => {
    const byUid = new Map(pods().map((object) => [object.metadata.uid ?? '', object]))
    const sandboxes = (await runtime.list()).filter(({ alive }) => alive)
    rates.keep(new Set(['', ...sandboxes.map(({ spec }) => spec.id)]))
    const told = sandboxes.flatMap((sandbox) => {
      const object = byUid.get(sandbox.spec.labels[SANDBOX_LABELS.uid] ?? '')
      return object ? [pod(object, sandbox)] : []
    })
    return { node: await node(), pods: await Promise.all(told) }
  }
}

/** Ticks of a hundredth of a second in all columns but idle and iowait; `btime` is in seconds. */
export function parseProcStat(text: string): { busyNanoseconds: number; bootedAt: number } {
  const [, ...columns] = /^cpu .*$/m.exec(text)?.[0].split(/\s+/) ?? []
  // user nice system idle iowait irq softirq steal; guest time is in user time already.
  const ticks = columns
    .slice(0, 8)
    .reduce((sum, value, index) => (index === 3 || index === 4 ? sum : sum + Number(value)), 0)
  return { busyNanoseconds: ticks * 1e7, bootedAt: Number(/^btime (\d+)$/m.exec(text)?.[1] ?? 0) * 1000 }
}

export function parseMemoryInfo(text: string): { total: number; available: number; free: number } {
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024
  return { total: bytes('MemTotal'), available: bytes('MemAvailable'), free: bytes('MemFree') }
}
