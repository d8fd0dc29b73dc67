import { isNotFound, sandboxSnapshots } from '@caisson/client'
import { CliError } from '../cli-error.ts'
import { openSession } from '../cluster/session.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { newName } from '../new-name.ts'
import { podOf } from '../sandbox-pod.ts'
import { patience, whenReady } from '../sandbox-progress.ts'
import { sandboxes } from '../sandboxes.ts'

export interface RunSnapshotOptions extends GlobalOptions {
  snapshot: string
  command: string[]
  name?: string
  detach?: boolean
  keep?: boolean
  interactive?: boolean
  tty?: boolean
}

/** Makes a Sandbox from a snapshot and executes a command beside what goes on in it; ends with the command's exit code. */
export async function runSnapshot(options: RunSnapshotOptions): Promise<void> {
  const name = newName(options.name, 'run')
  await using session = await openSession(options)
  const { client, namespace } = session
  const snapshot = await client.get(sandboxSnapshots, options.snapshot, { namespace }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
    throw new CliError(
      'not-found',
      `no snapshot ${options.snapshot} in namespace ${namespace}: 'kubectl get sandboxsnapshots' lists them`,
    )
  })
  const { podTemplate, volumeClaimTemplates } = snapshot.status ?? {}
  if (!podTemplate) throw new CliError('unavailable', `snapshot ${options.snapshot} is not Ready`)
  await client.create(
    sandboxes,
    {
      metadata: { name, namespace },
      spec: { podTemplate, ...(volumeClaimTemplates && { volumeClaimTemplates }), fromSnapshot: options.snapshot },
    },
    { namespace },
  )
  const stays = options.keep || options.detach
  try {
    await whenReady(session, name, patience())
    if (options.detach) console.log(name)
    if (options.command.length === 0) return
    process.exitCode = await execCommand(client, await podOf(session, name), {
      namespace,
      command: options.command,
      interactive: options.interactive ?? false,
      tty: options.tty ?? false,
    })
  } finally {
    if (!stays) await client.delete(sandboxes, name, { namespace })
  }
}
