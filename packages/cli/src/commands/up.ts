import { writeFileSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { type DaemonRecord, findDaemon } from '../cluster/daemon-record.ts'
import { type DataDirectory, dataDirectory } from '../cluster/data-directory.ts'
import { startDetached, wordsOfUp } from '../cluster/detach.ts'
import { parseListen } from '../cluster/listen-address.ts'
import { enterUserNamespace, sayWhatIsMissing } from '../cluster/user-namespace.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { requireNoNode } from '../node/joined-node.ts'
import { sayWaiting } from '../say-waiting.ts'

export interface UpOptions extends GlobalOptions {
  detach?: boolean
  listen?: string
  fakeRuntime?: boolean
  flatGroup?: boolean
  stopWhenIdle?: string
}

/** Starts the cluster in this process, or with `--detach` in one that outlives it. Nothing to do where one runs. */
export async function up(options: UpOptions): Promise<void> {
  // Before anything else, so that mistakes are told alike in the foreground and of a process that logs elsewhere.
  const listen = options.listen === undefined ? undefined : parseListen(options.listen)
  const stopWhenIdleMs =
    options.stopWhenIdle === undefined ? undefined : parseDuration('--stop-when-idle', options.stopWhenIdle)
  const directory = dataDirectory(options.dataDir)
  requireNoNode(directory)
  const running = await findDaemon(directory)
  if (running) {
    requireStartedWith(running, options)
    await requireAnswer(directory, running)
    // Another command may have started it, to end when it is idle: whoever asks for a cluster has one until `down`.
    writeFileSync(directory.stays, '', { mode: 0o600 })
    console.log(`already running: ${running.server}, process ${running.pid}`)
    return
  }
  if (options.detach) {
    using waiting = sayWaiting('the cluster')
    const record = await startDetached(directory, wordsOfUp(options))
    waiting.print(`running: ${record.server}, process ${record.pid}; export KUBECONFIG=${directory.kubeconfig}`)
    return
  }
  sayWhatIsMissing()
  enterUserNamespace(directory)
  const { serve } = await import('../cluster/serve.ts')
  await serve(directory, {
    ...(listen && { listen }),
    fakeRuntime: options.fakeRuntime ?? false,
    flatGroup: options.flatGroup ?? true,
    ...(stopWhenIdleMs !== undefined && { stopWhenIdleMs }),
  })
}

/** Whoever asks for something else than what runs has not got it. */
function requireStartedWith(running: DaemonRecord, { listen, fakeRuntime, flatGroup }: UpOptions): void {
  const refuse = (how: string, asked: string): never => {
    throw new CliError('failed', `the cluster runs already, ${how}, and ${asked}: 'caisson down' stops it first`)
  }
  if (listen !== undefined && !running.server.endsWith(`//${listen}`))
    refuse(`at ${running.server}`, `--listen asks for ${listen}`)
  if (fakeRuntime && !running.fakeRuntime) refuse('without RuntimeClass fake', '--fake-runtime asks for it')
  if (flatGroup === false && running.flatGroup !== false)
    refuse('with pools in the group of Sandbox too', '--no-flat-group asks for their own alone')
}

const PATIENCE_MS = 10_000

/** A process may live and serve nobody: one that is stopped, or that waits for a disk. */
async function requireAnswer(directory: DataDirectory, { pid, server }: DaemonRecord): Promise<void> {
  const { createClient, createHttpTransport, findConnection } = await import('@caisson/client')
  try {
    await using transport = createHttpTransport(await findConnection({ kubeconfig: directory.kubeconfig }))
    const signal = AbortSignal.timeout(PATIENCE_MS)
    await createClient(transport).request({ method: 'GET', path: '/readyz', signal })
  } catch (cause) {
    throw new CliError(
      'unavailable',
      `the cluster is not ready at ${server}, although its process ${pid} lives: 'caisson down' ends it`,
      { cause },
    )
  }
}
