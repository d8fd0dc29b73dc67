/** Looks at what the node has left, says where that is too little, and has Pods go, one at a time. */
import { readFile, statfs } from 'node:fs/promises'
import type { PodObject } from '@caisson/client'
import type { Eviction } from '../pods/observed-pod.ts'
import { isTerminalPhase } from '../pods/observed-pod.ts'
import { parseMemoryInfo } from '../stats/summary.ts'
import {
  type Candidate,
  evictionFor,
  type NodeReadings,
  type Pressure,
  type Shortage,
  shortagesOf,
  victimOf,
} from './node-pressure.ts'

export interface PressureWatchOptions {
  /** On the file system that may fill. */
  directory: string
  pods(): readonly PodObject[]
  /** What a Pod uses of it; undefined where it has no sandbox here. */
  usageOf(pod: PodObject, resource: Shortage['resource']): Promise<number | undefined>
  /** Whether anything of a Pod is here: its sandbox, or its directory. The API may have forgotten it long before. */
  keeps(uid: string): boolean
  /** What can go before any Pod: images that nobody uses. Resolves when that was tried. */
  reclaimDisk(): Promise<void>
  /** The set of pressures has changed: a pressure lasts five minutes longer than its cause, as kubelet's. */
  onChanged(pressures: ReadonlySet<Pressure>): void
  /** What Pods are to go for, by uid: this adds to it, and leaves out of it those of which nothing is here any more. */
  evictions: Map<string, Eviction>
  /** A Pod is in it now. */
  onEvict(uid: string): void
  now: () => number
  onError(error: unknown, where: string): void
  /** Default 10 s, as kubelet's. */
  intervalMs?: number | undefined
}

const INTERVAL_MS = 10_000
const TRANSITION_MS = 300_000

export function startPressureWatch(options: PressureWatchOptions): AsyncDisposable {
  const { directory, pods, usageOf, evictions, now, onError } = options
  const lastMet = new Map<Pressure, number>()
  let told = ''
  let busy: Promise<void> | undefined

  function pressures(): Set<Pressure> {
    // A time that lies ahead was noted before somebody set the clock back: what still holds is noted anew.
    const recent = (met: number): boolean => Math.abs(now() - met) < TRANSITION_MS
    return new Set([...lastMet].flatMap(([pressure, met]) => (recent(met) ? [pressure] : [])))
  }

  async function look(): Promise<void> {
    // Of before it was looked: what is found then may be over by now.
    const at = now()
    const going = isAnyGoing()
    let shortages = shortagesOf(await readNode(directory))
    if (shortages.some(({ pressure }) => pressure === 'DiskPressure')) {
      await options.reclaimDisk()
      shortages = shortagesOf(await readNode(directory))
    }
    for (const { pressure } of shortages) lastMet.set(pressure, at)
    const met = pressures()
    const text = [...met].sort().join()
    if (text !== told) {
      told = text
      options.onChanged(met)
    }
    const there = new Map(pods().map((pod) => [pod.metadata.uid ?? '', pod]))
    const [shortage] = shortages
    if (shortage && !going) await evictFor(shortage, [...there.values()])
  }

  /** One at a time: its end may be all that it takes, and what it kept goes after it. */
  function isAnyGoing(): boolean {
    const there = new Map(pods().map((pod) => [pod.metadata.uid ?? '', pod]))
    let any = false
    for (const uid of evictions.keys()) {
      const pod = there.get(uid)
      if (options.keeps(uid) || (pod && !isTerminalPhase(pod.status?.phase))) any = true
      else if (!pod) evictions.delete(uid)
    }
    return any
  }

  async function evictFor(shortage: Shortage, all: readonly PodObject[]): Promise<void> {
    const running = all.filter(({ status, metadata }) => !isTerminalPhase(status?.phase) && !metadata.deletionTimestamp)
    const candidates = await Promise.all(
      running.map(async (pod): Promise<Candidate[]> => {
        try {
          const usage = await usageOf(pod, shortage.resource)
          return usage === undefined ? [] : [{ pod, usage }]
        } catch (error) {
          // That one cannot be measured keeps no other from having to go.
          onError(error, `what pod ${pod.metadata.uid} uses of the node`)
          return []
        }
      }),
    )
    const victim = victimOf(shortage, candidates.flat())
    if (!victim) return
    const uid = victim.pod.metadata.uid ?? ''
    evictions.set(uid, evictionFor(shortage, victim))
    options.onEvict(uid)
  }

  const timer = setInterval(() => {
    busy ??= look()
      .catch((error: unknown) => onError(error, 'what the node has left'))
      .finally(() => {
        busy = undefined
      })
  }, options.intervalMs ?? INTERVAL_MS)
  timer.unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await busy
    },
  }
}

async function readNode(directory: string): Promise<NodeReadings> {
  const [memoryInfo, load, most, files] = await Promise.all([
    readFile('/proc/meminfo', 'utf8'),
    readFile('/proc/loadavg', 'utf8'),
    readFile('/proc/sys/kernel/pid_max', 'utf8'),
    statfs(directory),
  ])
  const { available, total } = parseMemoryInfo(memoryInfo)
  const tasks = Number(/\/(\d+)/.exec(load)?.[1] ?? 0)
  const capacity = Number(most)
  return {
    memory: { available, capacity: total },
    disk: { available: files.bavail * files.bsize, capacity: files.blocks * files.bsize },
    inodes: { available: files.ffree, capacity: files.files },
    tasks: { available: capacity - tasks, capacity },
  }
}
