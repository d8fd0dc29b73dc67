import { isNotFound, type PodObject, resources } from '@caisson/client'
import { requireTerminal } from '../attached-terminal.ts'
import { openSession, type Session } from '../cluster/session.ts'
import { execCommand } from '../exec-command.ts'
import type { GlobalOptions } from '../global-options.ts'
import { awakePodOf } from '../sandbox-pod.ts'
import { say } from '../terminal-text.ts'
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
  process.exitCode = await whereFound(session, async (here) => {
    const pod = await awakePodOf(here, options.name, options.container)
    const exitCode = await execCommand(here.client, pod, {
      namespace: here.namespace,
      command: options.command,
      ...terminal,
      ...(options.container !== undefined && { container: options.container }),
    })
    if (exitCode === KILLED && (await isGoing(here, pod)))
      say(`sandbox ${options.name} was stopped while the command ran, which ended it`)
    return exitCode
  })
}

/** Exit code of what SIGKILL ended. */
const KILLED = 137

/** Whether the Pod is gone or about to go, as when its Sandbox is removed or told to sleep; false where nobody can say. */
async function isGoing({ client, namespace }: Session, { metadata: { name = '', uid } }: PodObject): Promise<boolean> {
  try {
    const { metadata } = await client.get(resources.pods, name, { namespace })
    return metadata.uid !== uid || metadata.deletionTimestamp !== undefined
  } catch (error) {
    return isNotFound(error)
  }
}
