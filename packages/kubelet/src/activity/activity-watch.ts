/**
 * Notices when nothing happens in the Pods that want to be suspended then. Nothing is told of a packet or a line: both
 * leave counters behind, and one look at all of them every few seconds costs less than a millisecond for a hundred Pods.
 * What is seen late counts from when it is seen, so that no Pod is ever called idle too early. What the node's own probes
 * send is not counted at all, since they come from an address of their own.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import type { PodDirectories } from '../pod-directories.ts'
import { type ContainerRun, isRunning } from '../pods/observed-pod.ts'
import { type ActivityState, activityState, idleAfter } from './activity-state.ts'

export interface ActivityWatchOptions {
  runtime: Pick<Runtime, 'traffic'>
  directories: PodDirectories
  /** ms since the epoch: what outlives this process is told in it. */
  now: () => number
  /** ms of a clock that nobody sets. */
  monotonic?: () => number
  /** The Pod's state is another one: it is to be looked at. */
  onChanged(uid: string): void
}

export interface ActivityWatch extends Disposable {
  /** Goes on watching the Pod, and says how it is; undefined for one that does not want it, or does not run. */
  follow(pod: PodObject, sandbox: { id: string; runs: readonly ContainerRun[] }): Promise<ActivityState | undefined>
  forget(uid: string): void
  /** Somebody is connected to the Pod until this is disposed: it is not idle. */
  connected(uid: string): Disposable
}

/** The moment of suspension is late by at most this, and by at most a tenth of the Pod's own time. */
const LONGEST_TICK_MS = 15_000
const SHORTEST_TICK_MS = 500
/** In the Pod's directory. */
const FILE = 'activity'

/** What happened leaves it different. */
interface Traces {
  /** Undefined where they could not be read. */
  packets: number | undefined
  /** Runs, and the size and time of what they wrote. */
  output: string
}

interface Watched {
  pod: PodObject
  sandboxId: string
  runs: readonly ContainerRun[]
  afterMs: number
  traces: Traces
  /** When something happened last: by the clock that nobody sets, and as it is told. */
  last: { monotonic: number; at: number }
  told: ActivityState['kind'] | undefined
}

export function createActivityWatch(options: ActivityWatchOptions): ActivityWatch {
  const { runtime, directories, now, monotonic = () => performance.now(), onChanged } = options
  const pods = new Map<string, Watched>()
  const connections = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined

  function thisMoment(): Watched['last'] {
    return { monotonic: monotonic(), at: now() }
  }

  /** By sandbox; undefined where they cannot be read just now. */
  async function traffic(): Promise<ReadonlyMap<string, number> | undefined> {
    return await runtime.traffic().catch(() => undefined)
  }

  function tracesOf(
    { pod, sandboxId, runs }: Pick<Watched, 'pod' | 'sandboxId' | 'runs'>,
    packets: ReadonlyMap<string, number> | undefined,
  ): Traces {
    const output = runs.map(({ id, name, restartCount }) => {
      const { size, mtimeMs } = statOf(directories.log(identityOf(pod), name, restartCount))
      return `${id} ${size} ${mtimeMs}`
    })
    return { packets: packets && (packets.get(sandboxId) ?? 0), output: output.join('\n') }
  }

  function stateOf(uid: string, watched: Watched): ActivityState {
    if (connections.has(uid)) watched.last = thisMoment()
    const { afterMs, last } = watched
    return activityState(monotonic() - last.monotonic, { afterMs, since: last.at })
  }

  async function begin(uid: string, fields: Pick<Watched, 'pod' | 'sandboxId' | 'runs' | 'afterMs'>): Promise<Watched> {
    const traces = tracesOf(fields, await traffic())
    const quietMs = quietUntilNow(join(directories.pod(uid), FILE), traces, now())
    const moment = thisMoment()
    const last = { monotonic: moment.monotonic - quietMs, at: moment.at - quietMs }
    const watched = { ...fields, traces, last, told: undefined }
    pods.set(uid, watched)
    remember(uid, watched)
    schedule()
    return watched
  }

  /** So that a new agent goes on with the same clock. */
  function remember(uid: string, { traces, last }: Watched): void {
    const remembered: Remembered = { ...traces, at: last.at }
    try {
      writeFileSync(join(directories.pod(uid), FILE), JSON.stringify(remembered), { mode: 0o600 })
    } catch {
      // A full disk, or a Pod that goes: the clock then begins anew.
    }
  }

  async function look(): Promise<void> {
    const packets = await traffic()
    for (const [uid, watched] of pods) lookAt(uid, watched, packets)
  }

  function lookAt(uid: string, watched: Watched, packets: ReadonlyMap<string, number> | undefined): void {
    const before = watched.traces
    const after = tracesOf(watched, packets)
    watched.traces = after
    if (!isSame(before, after)) watched.last = thisMoment()
    if (!isSame(before, after) || connections.has(uid)) remember(uid, watched)
    tell(uid, watched)
  }

  function tell(uid: string, watched: Watched): void {
    if (stateOf(uid, watched).kind !== watched.told) onChanged(uid)
  }

  function schedule(): void {
    if (timer || looking || pods.size === 0) return
    const shortest = Math.min(...[...pods.values()].map(({ afterMs }) => afterMs))
    const wait = Math.min(Math.max(shortest / 10, SHORTEST_TICK_MS), LONGEST_TICK_MS)
    timer = setTimeout(() => {
      timer = undefined
      looking = look().finally(() => {
        looking = undefined
        schedule()
      })
    }, wait).unref()
  }

  return {
    async follow(pod, { id, runs: all }) {
      const uid = pod.metadata.uid ?? ''
      const afterMs = idleAfter(pod)
      const runs = all.filter((run) => isRunning(run) && !run.past)
      if (afterMs === undefined || runs.length === 0) {
        pods.delete(uid)
        return afterMs === undefined ? undefined : { kind: 'active', afterMs }
      }
      const known = pods.get(uid)
      const watched = known?.sandboxId === id ? known : await begin(uid, { pod, sandboxId: id, runs, afterMs })
      if (watched.afterMs !== afterMs) {
        clearTimeout(timer)
        timer = undefined
      }
      Object.assign(watched, { pod, runs, afterMs })
      schedule()
      const state = stateOf(uid, watched)
      watched.told = state.kind
      return state
    },
    forget: (uid) => void pods.delete(uid),
    connected(uid) {
      connections.set(uid, (connections.get(uid) ?? 0) + 1)
      const watched = pods.get(uid)
      if (watched) tell(uid, watched)
      let open = true
      return {
        [Symbol.dispose]() {
          if (!open) return
          open = false
          const left = (connections.get(uid) ?? 1) - 1
          if (left > 0) connections.set(uid, left)
          else connections.delete(uid)
          const watched = pods.get(uid)
          if (watched) watched.last = thisMoment()
        },
      }
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      pods.clear()
    },
  }
}

interface Remembered extends Traces {
  /** When something happened last, ms since the epoch. */
  at: number
}

/** How long nothing has happened as far as an earlier agent knew and the traces tell, ms. */
function quietUntilNow(file: string, traces: Traces, now: number): number {
  try {
    const { at, ...before } = JSON.parse(readFileSync(file, 'utf8')) as Remembered
    return isSame(before, traces) ? Math.max(now - at, 0) : 0
  } catch {
    return 0
  }
}

/** What could not be read may be anything. */
function isSame(before: Traces, after: Traces): boolean {
  return after.packets !== undefined && before.packets === after.packets && before.output === after.output
}

function statOf(path: string): { size: number; mtimeMs: number } {
  return statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 }
}

function identityOf({ metadata }: PodObject): { namespace: string; name: string; uid: string } {
  const { namespace = '', name = '', uid = '' } = metadata
  return { namespace, name, uid }
}
