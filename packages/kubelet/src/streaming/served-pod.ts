import type { Duplex } from 'node:stream'
import type { LogSource } from './container-log.ts'

/** A container of a Pod as the node serves it. */
export interface ServedContainer {
  /** Of the runtime. */
  id: string
  /** Whether its process has a terminal: attach follows the container, whatever the client says. */
  tty: boolean
}

export interface ServedPod {
  namespace: string
  name: string
  uid: string
  /** Undefined while it has none. */
  sandboxId: string | undefined
  /** The Sandbox that it belongs to. */
  sandbox?: { namespace: string; name: string; uid: string }
  /** Where its ports are reached without a sandbox. */
  connect?: (port: number, signal: AbortSignal) => Promise<Duplex>
  hasContainer(name: string): boolean
  /** What is executed in the container is given besides its own; undefined where there is nothing. */
  environment?(container: string): Promise<Readonly<Record<string, string>> | undefined>
  /** Why nothing can be executed in it or attached to it, whatever container is named. */
  noCommands?: string
  /** Undefined where it is not running. */
  runningContainer(name: string): ServedContainer | undefined
  /** The same, and one that has ended whose output waits for its first client. */
  attachableContainer(name: string): ServedContainer | undefined
  /** A string says why there is no log. */
  log(name: string, previous: boolean): LogSource | string
}
