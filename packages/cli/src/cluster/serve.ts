/** `caisson up`: the embedded cluster in this process, until it is told to stop. */
import { closeSync, existsSync, readFileSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { CliError } from '../cli-error.ts'
import { VERSION } from '../version.ts'
import { createDaemonLog } from './daemon-log.ts'
import { removeDaemonRecord, writeDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, prepareDataDirectory } from './data-directory.ts'
import { type EmbeddedCluster, startEmbeddedCluster } from './embedded-cluster.ts'
import { watchIdleness } from './idleness.ts'
import { holdNamespaces, releaseNamespaces } from './user-namespace.ts'

export interface ServeOptions {
  /** `HOST:PORT`; the port of last time, or a free one, where it is not given. */
  listen?: string
  fakeRuntime: boolean
  flatGroup: boolean
  /** End after so long without a client's connection and a Pod that has not finished, ms. */
  stopWhenIdleMs?: number
}

/** Runs until a signal comes. SIGINT stops every sandbox too; SIGTERM leaves them for the next start. */
export async function serve(directory: DataDirectory, options: ServeOptions): Promise<void> {
  prepareDataDirectory(directory)
  holdNamespaces(directory)
  const stopping = Promise.withResolvers<'leave' | 'idle' | 'stop'>()
  process.on('SIGTERM', () => stopping.resolve('leave'))
  process.on('SIGINT', () => stopping.resolve('stop'))
  process.on('SIGHUP', () => stopping.resolve('leave'))

  const log = createDaemonLog({
    write: (line) => console.error(line),
    descriptor: process.stderr.fd,
    file: directory.log,
    now: Date.now,
  })
  const { host, port, fallback } = address(directory, options.listen)
  const start = (on: number): Promise<EmbeddedCluster> =>
    startEmbeddedCluster(directory, {
      host,
      port: on,
      fakeRuntime: options.fakeRuntime,
      flatGroup: options.flatGroup,
      log,
    })
  await runUntilStopped()
  // Left where that failed: `down` then takes away what is left.
  removeDaemonRecord(directory)

  async function runUntilStopped(): Promise<void> {
    // Whatever happens from here on, nothing of it goes on in a process that should end.
    await using cluster = await startOn(port)
    writeDaemonRecord(directory, { server: cluster.url, version: VERSION })
    sayReady(cluster.url)
    // Written at an orderly end otherwise, which a cluster may never come to.
    flushCompileCache()
    const idleness =
      options.stopWhenIdleMs === undefined
        ? undefined
        : watchIdleness(cluster, options.stopWhenIdleMs, () => stopping.resolve('idle'))
    const how = await stopping.promise
    // Its timer would keep the process alive long after everything else has ended.
    idleness?.[Symbol.dispose]()
    writeDaemonRecord(directory, { server: cluster.url, version: VERSION, ending: true })
    if (how === 'stop') await cluster.kubelet.stopAll()
    // Otherwise sandboxes go on in them.
    if (how !== 'leave') releaseNamespaces(directory)
  }

  async function startOn(first: number): Promise<EmbeddedCluster> {
    try {
      return await start(first)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      if (fallback) return start(0)
      throw new CliError('unavailable', `${host}:${first} is in use: choose another address with --listen`, {
        cause: error,
      })
    }
  }
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']

function address(
  directory: DataDirectory,
  listen: string | undefined,
): { host: string; port: number; fallback: boolean } {
  if (listen === undefined) return { host: '127.0.0.1', port: lastPort(directory), fallback: true }
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(listen)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new CliError('usage', `--listen takes host:port, such as 127.0.0.1:6443, not ${JSON.stringify(listen)}`)
  if (!LOOPBACK.includes(host))
    throw new CliError(
      'usage',
      `--listen takes a loopback address (${LOOPBACK.join(', ')}), not ${host}: the API of an embedded cluster is for this machine only`,
    )
  return { host, port, fallback: false }
}

/** Clients keep kubeconfigs: the same port again where it is free. */
function lastPort(directory: DataDirectory): number {
  if (!existsSync(directory.kubeconfig)) return 0
  const port = /https:\/\/[^"]*:(\d+)/.exec(readFileSync(directory.kubeconfig, 'utf8'))?.[1]
  return Number(port ?? 0)
}

function sayReady(url: string): void {
  const descriptor = Number(process.env['CAISSON_READY_DESCRIPTOR'] || Number.NaN)
  if (!Number.isInteger(descriptor)) {
    console.log(`ready: ${url}`)
    return
  }
  writeSync(descriptor, 'ready\n')
  closeSync(descriptor)
}
