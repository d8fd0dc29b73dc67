import { CliError } from '../cli-error.ts'
import { findDaemon } from '../cluster/daemon-record.ts'
import { dataDirectory } from '../cluster/data-directory.ts'
import { startDetached, wordsOfUp } from '../cluster/detach.ts'
import { enterUserNamespace, sayWhatIsMissing } from '../cluster/user-namespace.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'
import { requireNoNode } from '../node/joined-node.ts'

export interface UpOptions extends GlobalOptions {
  detach?: boolean
  listen?: string
  fakeRuntime?: boolean
  flatGroup?: boolean
  stopWhenIdle?: string
}

/** Starts the cluster in this process, or with `--detach` in one that outlives it. Nothing to do where one runs. */
export async function up(options: UpOptions): Promise<void> {
  const directory = dataDirectory(options.dataDir)
  requireNoNode(directory)
  const running = await findDaemon(directory)
  if (running) {
    if (options.listen !== undefined && !running.server.endsWith(`//${options.listen}`))
      throw new CliError(
        'failed',
        `the cluster runs already, at ${running.server}, and --listen asks for ${options.listen}: 'caisson down' stops it first`,
      )
    console.log(`already running: ${running.server}, process ${running.pid}`)
    return
  }
  if (options.detach) {
    const record = await startDetached(directory, wordsOfUp(options))
    console.log(`running: ${record.server}, process ${record.pid}; export KUBECONFIG=${directory.kubeconfig}`)
    return
  }
  sayWhatIsMissing()
  enterUserNamespace(directory)
  const { serve } = await import('../cluster/serve.ts')
  await serve(directory, {
    ...(options.listen !== undefined && { listen: options.listen }),
    fakeRuntime: options.fakeRuntime ?? false,
    flatGroup: options.flatGroup ?? true,
    ...(options.stopWhenIdle !== undefined && {
      stopWhenIdleMs: parseDuration('--stop-when-idle', options.stopWhenIdle),
    }),
  })
}
