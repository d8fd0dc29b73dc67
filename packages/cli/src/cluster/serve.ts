/** `caisson up`: the embedded cluster in this process, until it is told to stop. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { type DataDirectory, prepareDataDirectory } from './data-directory.ts'
import { type EmbeddedCluster, startEmbeddedCluster } from './embedded-cluster.ts'
import { watchIdleness } from './idleness.ts'
import type { ListenAddress } from './listen-address.ts'
import { runDaemon } from './run-daemon.ts'
import { holdNamespaces } from './user-namespace.ts'

export interface ServeOptions {
  /** The port of last time, or a free one, where it is not given. */
  listen?: ListenAddress
  fakeRuntime: boolean
  flatGroup: boolean
  /** End after so long without a client's connection and a Pod that has not finished, ms. */
  stopWhenIdleMs?: number
}

/** Runs until a signal comes: see `runDaemon`. */
export async function serve(directory: DataDirectory, options: ServeOptions): Promise<void> {
  prepareDataDirectory(directory)
  const { host, port } = options.listen ?? { host: '127.0.0.1', port: lastPort(directory) }
  const { stopWhenIdleMs, fakeRuntime, flatGroup } = options
  await runDaemon(directory, async (log) => {
    holdNamespaces(directory)
    // It was said of the cluster before this one.
    rmSync(directory.stays, { force: true })
    const start = (on: number): Promise<EmbeddedCluster> =>
      startEmbeddedCluster(directory, { host, port: on, fakeRuntime, flatGroup, log })
    const cluster = await startOn(port, start)
    return {
      server: cluster.url,
      startedWith: { ...(fakeRuntime && { fakeRuntime: true }), ...(!flatGroup && { flatGroup: false }) },
      stopAll: () => cluster.kubelet.stopAll(),
      ...(stopWhenIdleMs !== undefined && {
        watch: (stop) => watchIdleness(cluster, stopWhenIdleMs, () => existsSync(directory.stays) || stop()),
      }),
      [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
    }
  })

  async function startOn(first: number, start: (port: number) => Promise<EmbeddedCluster>): Promise<EmbeddedCluster> {
    try {
      return await start(first)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      if (!options.listen) return start(0)
      throw new CliError('unavailable', `${host}:${first} is in use: choose another address with --listen`, {
        cause: error,
      })
    }
  }
}

/** Clients keep kubeconfigs: the same port again where it is free. */
function lastPort(directory: DataDirectory): number {
  if (!existsSync(directory.kubeconfig)) return 0
  const port = /https:\/\/[^"]*:(\d+)/.exec(readFileSync(directory.kubeconfig, 'utf8'))?.[1]
  return Number(port ?? 0)
}
