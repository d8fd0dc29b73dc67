/**
 * Notices when nothing happens in the Pods that want to be suspended then. Nothing is told of a packet or a line: both
 * leave counters behind, and one look at all of them every few seconds costs some hundred microseconds for a hundred
 * Pods. What is seen late counts from when it is seen, so that no Pod is ever called idle too early.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import type { PodDirectories } from '../pod-directories.ts'
import { type ContainerRun, isRunning } from '../pods/observed-pod.ts'
import { type ActivityState, activityState, idleAfter } from './activity-state.ts'

export interface ActivityWatchOptions {
  runtime: Pick<Runtime, 'packets'>
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
  follow(pod: PodObject, sandbox: { id: string; runs: readonly ContainerRun[] }): ActivityState | undefined
  forget(uid: string): void
  /** Somebody is connected to the Pod until this is disposed: it is not idle. */
  connected(uid: string): Disposable
  /** Has the node ask the Pod something, which is nothing that happens in it. */
  unseen<T>(uid: string, ask: () => Promise<T>): Promise<T>
}

/** The moment of suspension is late by at most this, and by at most a tenth of the Pod's own time. */
const LONGEST_TICK_MS = 15_000
const SHORTEST_TICK_MS = 500
/** What a connection still sends once it has been closed here: FIN and ACK of each side, and who has which address. */
const CLOSING_PACKETS = 6
/** More than any probe needs. One that hangs must not hide what others send meanwhile. */
const PROBE_PACKETS = 64
/** In the Pod's directory. */
const FILE = 'activity'

/** What happened leaves it different. */
interface Traces {
  packets: number
  /** Runs, and the size and time of what they wrote. */
  output: string
}

interface Watched {
  pod: PodObject
  sandboxId: string
  runs: readonly ContainerRun[]
  afterMs: number
  traces: Traces
  /** Packets since the last look that are the node's own. */
  ownPackets: number
  /** What the node asks just now, how much of it did overlap, and the packets before it. */
  asking: { open: number; all: number; packets: number } | undefined
  /** When something happened last: by the clock that nobody sets, and as it is told. */
  last: { monotonic: number; at: number }
  told: ActivityState['kind'] | undefined
}

export function createActivityWatch(options: ActivityWatchOptions): ActivityWatch {
  const { runtime, directories, now, monotonic = () => performance.now(), onChanged } = options
  const pods = new Map<string, Watched>()
  const connections = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined

  function thisMoment(): Watched['last'] {
    return { monotonic: monotonic(), at: now() }
  }

  function tracesOf({ pod, sandboxId, runs }: Pick<Watched, 'pod' | 'sandboxId' | 'runs'>): Traces {
    const output = runs.map(({ id, name, restartCount }) => {
      const { size, mtimeMs } = statOf(directories.log(identityOf(pod), name, restartCount))
      return `${id} ${size} ${mtimeMs}`
    })
    return { packets: runtime.packets(sandboxId) ?? 0, output: output.join('\n') }
  }

  function stateOf(uid: string, watched: Watched): ActivityState {
    if (connections.has(uid)) watched.last = thisMoment()
    const { afterMs, last } = watched
    return activityState(monotonic() - last.monotonic, { afterMs, since: last.at })
  }

  function begin(uid: string, fields: Pick<Watched, 'pod' | 'sandboxId' | 'runs' | 'afterMs'>): Watched {
    const traces = tracesOf(fields)
    const file = join(directories.pod(uid), FILE)
    const quietMs = quietUntilNow(file, traces, { now: now(), slack: isAsked(fields.pod) ? PROBE_PACKETS : 0 })
    const moment = thisMoment()
    const last = { monotonic: moment.monotonic - quietMs, at: moment.at - quietMs }
    const watched = { ...fields, traces, ownPackets: 0, asking: undefined, last, told: undefined }
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

  function look(uid: string, watched: Watched): void {
    const before = watched.traces
    const after = tracesOf(watched)
    const { asking } = watched
    const own = watched.ownPackets + (asking ? PROBE_PACKETS * asking.all : 0)
    const foreign = after.packets - before.packets > own
    // What is being asked just now is counted once it has been.
    const counted = !asking || foreign
    watched.traces = counted ? after : { ...after, packets: before.packets }
    if (counted) {
      watched.ownPackets = 0
      if (asking) watched.asking = undefined
    }
    if (foreign || after.output !== before.output) watched.last = thisMoment()
    if (after.packets !== before.packets || after.output !== before.output || connections.has(uid))
      remember(uid, watched)
    tell(uid, watched)
  }

  function tell(uid: string, watched: Watched): void {
    if (stateOf(uid, watched).kind !== watched.told) onChanged(uid)
  }

  function schedule(): void {
    if (timer || pods.size === 0) return
    const shortest = Math.min(...[...pods.values()].map(({ afterMs }) => afterMs))
    const wait = Math.min(Math.max(shortest / 10, SHORTEST_TICK_MS), LONGEST_TICK_MS)
    timer = setTimeout(() => {
      timer = undefined
      for (const [uid, watched] of pods) look(uid, watched)
      schedule()
    }, wait).unref()
  }

  return {
    follow(pod, { id, runs: all }) {
      const uid = pod.metadata.uid ?? ''
      const afterMs = idleAfter(pod)
      const runs = all.filter((run) => isRunning(run) && !run.past)
      if (afterMs === undefined || runs.length === 0) {
        pods.delete(uid)
        return afterMs === undefined ? undefined : { kind: 'active', afterMs }
      }
      const known = pods.get(uid)
      const watched = known?.sandboxId === id ? known : begin(uid, { pod, sandboxId: id, runs, afterMs })
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
    async unseen(uid, ask) {
      const watched = pods.get(uid)
      if (!watched) return await ask()
      // Those that overlap are measured together.
      watched.asking ??= { open: 0, all: 0, packets: runtime.packets(watched.sandboxId) ?? 0 }
      const { asking } = watched
      asking.open++
      asking.all++
      try {
        return await ask()
      } finally {
        asking.open--
        if (asking.open === 0 && watched.asking === asking) {
          const sent = (runtime.packets(watched.sandboxId) ?? 0) - asking.packets
          watched.ownPackets += Math.min(sent + CLOSING_PACKETS * asking.all, PROBE_PACKETS * asking.all)
          watched.asking = undefined
        }
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
function quietUntilNow(file: string, traces: Traces, { now, slack }: { now: number; slack: number }): number {
  try {
    const { packets, output, at } = JSON.parse(readFileSync(file, 'utf8')) as Remembered
    const same = output === traces.output && traces.packets >= packets && traces.packets - packets <= slack
    return same ? Math.max(now - at, 0) : 0
  } catch {
    return 0
  }
}

/** Whether the node sends packets to the Pod by itself. */
function isAsked({ spec }: PodObject): boolean {
  return (spec?.containers ?? []).some((container) =>
    [container.livenessProbe, container.readinessProbe, container.startupProbe].some((probe) => probe && !probe.exec),
  )
}

function statOf(path: string): { size: number; mtimeMs: number } {
  return statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 }
}

function identityOf({ metadata }: PodObject): { namespace: string; name: string; uid: string } {
  const { namespace = '', name = '', uid = '' } = metadata
  return { namespace, name, uid }
}
