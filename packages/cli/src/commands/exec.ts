import { requireTerminal } from '../attached-terminal.ts'
import { openSession } from '../cluster/session.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { podOf } from '../sandbox-pod.ts'
import { wakeIfAsleep } from '../sandbox-progress.ts'

export interface ExecCommandOptions extends GlobalOptions {
  name: string
  command: string[]
  interactive?: boolean
  tty?: boolean
  container?: string
}

/** Ends with the command's exit code. */
export async function exec(options: ExecCommandOptions): Promise<void> {
  const terminal = { interactive: options.interactive ?? false, tty: options.tty ?? false }
  requireTerminal(terminal)
  await using session = await openSession(options)
  const pod = await podOf(session, options.name).catch(async (error: unknown) => {
    // Asked only where there is no Pod: an exec of one that runs is not to wait for it.
    if (await wakeIfAsleep(session, options.name)) return podOf(session, options.name)
    throw error
  })
  process.exitCode = await execCommand(session.client, pod, {
    namespace: session.namespace,
    // commander keeps a `--` that follows the name.
    command: options.command[0] === '--' ? options.command.slice(1) : options.command,
    ...terminal,
    ...(options.container !== undefined && { container: options.container }),
  })
}
