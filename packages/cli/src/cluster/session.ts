/** A client for the cluster that the user means. */
import { existsSync, realpathSync } from 'node:fs'
import { type Client, type ClusterConnection, createClient, createHttpTransport, findConnection } from '@caisson/client'
import type { GlobalOptions } from '../global-options.ts'
import { sayWaiting } from '../say-waiting.ts'
import { oneLine, say } from '../terminal-text.ts'
import { findDaemon } from './daemon-record.ts'
import { type DataDirectory, dataDirectory } from './data-directory.ts'
import { startDetached, wordsOfUp } from './detach.ts'
import { HOST_NAMESPACE } from './host-namespace.ts'

/** A cluster that a command started by itself ends after so long without anything to do. */
const IDLE_END = '15m'

export interface Session extends AsyncDisposable {
  client: Client
  connection: ClusterConnection
  /** Where commands work: `-n`, else the kubeconfig's. */
  namespace: string
  /** Where a sandbox may be too that was named without a namespace; undefined where one was given, and elsewhere. */
  hostNamespace: string | undefined
  /** The embedded cluster's directory; undefined for any other cluster. */
  embedded: DataDirectory | undefined
}

export interface OpenSessionOptions extends GlobalOptions {
  /** Start the embedded cluster where none runs, and say so. Otherwise that is an error. */
  start?: boolean
  /** What is looked at before it is started. */
  beforeStart?: (directory: DataDirectory) => Promise<void>
}

/**
 * The cluster of `--context`, else of KUBECONFIG where that is set, otherwise this machine's embedded one.
 *
 * @throws CliError where the embedded cluster does not run and may not be started
 */
export async function openSession(options: OpenSessionOptions): Promise<Session> {
  const directory = dataDirectory(options.dataDir)
  const embedded = options.context === undefined && (options.dataDir !== undefined || isEmbedded(directory))
  if (embedded) await ensureRunning(directory, options)
  const connection = await findConnection(embedded ? { kubeconfig: directory.kubeconfig } : contextOf(options))
  const transport = createHttpTransport(connection)
  const namespace = options.namespace ?? connection.namespace ?? 'default'
  const named = options.namespace !== undefined || namespace === HOST_NAMESPACE
  return {
    client: createClient(transport, {
      fieldManager: 'caisson',
      onWarning: (warning) => console.error(`warning: ${oneLine(warning)}`),
    }),
    connection,
    namespace,
    hostNamespace: embedded && !named ? HOST_NAMESPACE : undefined,
    embedded: embedded ? directory : undefined,
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}

export function contextOf({ context }: GlobalOptions): { context?: string } {
  return context === undefined ? {} : { context }
}

function isEmbedded(directory: DataDirectory): boolean {
  const configured = process.env['KUBECONFIG']
  if (!configured) return true
  if (configured === directory.kubeconfig) return true
  return (
    existsSync(configured) &&
    existsSync(directory.kubeconfig) &&
    realpathSync(configured) === realpathSync(directory.kubeconfig)
  )
}

async function ensureRunning(
  directory: DataDirectory,
  { start = false, beforeStart }: OpenSessionOptions,
): Promise<void> {
  if (await findDaemon(directory)) return
  if (!start) {
    const { CliError } = await import('../cli-error.ts')
    throw new CliError(
      'unavailable',
      `the embedded cluster of ${directory.root} does not run: start it with 'caisson up --detach'`,
    )
  }
  await beforeStart?.(directory)
  say(`starting the embedded cluster (it ends by itself after ${IDLE_END} without work)`)
  {
    using _ = sayWaiting('the embedded cluster')
    await startDetached(directory, wordsOfUp({ stopWhenIdle: IDLE_END }))
  }
  say('the embedded cluster runs')
}
