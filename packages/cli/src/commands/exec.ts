import { requireTerminal } from '../attached-terminal.ts'
import { openSession } from '../cluster/session.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { awakePodOf } from '../sandbox-pod.ts'
import { whereFound } from '../where-found.ts'

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
  process.exitCode = await whereFound(session, async (here) =>
    execCommand(here.client, await awakePodOf(here, options.name, options.container), {
      namespace: here.namespace,
      command: options.command,
      ...terminal,
      ...(options.container !== undefined && { container: options.container }),
    }),
  )
}
