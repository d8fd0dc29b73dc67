/**
 * The cluster's own processes, shown as Pods. A Pod of a system namespace whose label `app` names a registered process
 * _is_ that process, whatever image and command it has: the node runs no container for it and reports how the process is.
 * That is decided by the namespace, so that only who may write Pods there can have one, and it gives him nothing: such a
 * Pod has a log and a readiness, and nothing can be executed in it.
 */
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { PodObject } from '@caisson/client'
import type { LogSource } from '../streaming/container-log.ts'
import { createSystemLog } from './system-log.ts'

export interface SystemProcessOptions {
  /** Of its Pods. */
  namespace: string
  /** What the label `app` of its Pods says. */
  app: string
  /** Where Services that select it lead to; nowhere unless given. */
  ip?: string
  /** Opens a connection to one of its ports, for port-forward; refused unless given. */
  connect?(port: number, signal: AbortSignal): Promise<Duplex>
}

/** How it is. Times in ms since the epoch. */
export type SystemProcessState =
  | { phase: 'running'; pid: number; startedAt: number; ready: boolean }
  | { phase: 'exited'; pid: number; startedAt: number; finishedAt: number; exitCode: number }

/** For whoever runs the process. Disposing closes its log; its Pods stay as they were last seen. */
export interface SystemProcess extends Disposable {
  readonly state: SystemProcessState
  /** Another pid or start is another run: the Pod's containers count as restarted. */
  update(state: SystemProcessState): void
  /** Adds a line, without its end, to what the Pod's log shows. */
  log(line: string): void
}

/** What the node needs of it. */
export interface ShownProcess {
  readonly state: SystemProcessState
  readonly ip: string | undefined
  readonly connect: SystemProcessOptions['connect']
  /** A string says why there is none. */
  logSource(previous: boolean): LogSource | string
}

export interface SystemProcesses {
  /** Before the node starts, so that it takes no Pod of the process for one that it has to run. */
  register(options: SystemProcessOptions & { state: SystemProcessState }): SystemProcess
  /** The process that a Pod is; undefined for every other Pod. */
  of(pod: PodObject): ShownProcess | undefined
  /** Called with a process whose state has changed. */
  onChanged(listener: (process: ShownProcess) => void): Disposable
}

/** @param directory for logs; made where it is missing */
export function createSystemProcesses({ directory, now }: { directory: string; now: () => number }): SystemProcesses {
  const processes = new Map<string, ShownProcess>()
  const listeners = new Set<(process: ShownProcess) => void>()
  return {
    register({ namespace, app, ip, connect, ...options }) {
      const log = createSystemLog({ directory, name: `${namespace}_${app}`, now })
      let { state } = options
      const shown: ShownProcess = {
        get state() {
          return state
        },
        ip,
        connect,
        logSource(previous) {
          const path = previous ? log.previousPath() : log.path
          if (path === undefined) return `previous terminated process of ${join(namespace, app)} not found`
          // It may be started again, and goes on writing to the same log.
          return { path, writing: () => !previous, onStopped: () => ({ [Symbol.dispose]: () => undefined }) }
        },
      }
      processes.set(join(namespace, app), shown)
      return {
        get state() {
          return state
        },
        update(next) {
          state = next
          for (const listener of listeners) listener(shown)
        },
        log: (line) => log.write(line),
        [Symbol.dispose]: () => log[Symbol.dispose](),
      }
    },
    of: ({ metadata }) => processes.get(join(metadata.namespace ?? '', metadata.labels?.['app'] ?? '')),
    onChanged(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}
