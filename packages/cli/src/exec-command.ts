import { type Client, type ExecOptions, execInPod, isApiError, type PodObject } from '@caisson/client'
import { copyStreams, type TerminalOptions } from './attached-terminal.ts'
import { startFailure } from './start-failure.ts'

/**
 * Executes a command in a Pod, connected to this process; gives its exit code.
 *
 * @throws CliError `not-found` where the image has no such command
 */
export async function execCommand(
  client: Client,
  pod: PodObject,
  { interactive, tty, ...options }: Omit<ExecOptions, 'stdin' | 'tty'> & TerminalOptions,
): Promise<number> {
  await using command = await execInPod(client, pod.metadata.name ?? '', { ...options, stdin: interactive, tty })
  try {
    return await copyStreams(command, { interactive, tty })
  } catch (error) {
    if (!isApiError(error)) throw error
    const containers = pod.spec?.containers ?? []
    const { image } = containers.find(({ name }) => name === options.container) ?? containers[0] ?? {}
    throw startFailure(error.message, image ?? 'of the sandbox') ?? error
  }
}
