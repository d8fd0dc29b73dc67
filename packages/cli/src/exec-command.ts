import { Readable } from 'node:stream'
import { type Client, type ExecOptions, execInPod, isApiError, type PodObject } from '@caisson/client'
import { copyStreams, type TerminalOptions } from './attached-terminal.ts'
import { startFailure } from './start-failure.ts'

/** How gVisor begins what it writes to the command's own output where there is no command to write anything. */
const RUNTIME_SPEAKS = Buffer.from('executing processes for container: ')
const HELD_BYTES = 16_384

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
  const outputs = {
    stdout: tty ? holdRuntimeWords(command.stdout, command.exit) : command.stdout,
    stderr: holdRuntimeWords(command.stderr, command.exit),
  }
  try {
    return await copyStreams({ ...command, ...outputs }, { interactive, tty })
  } catch (error) {
    if (!isApiError(error)) throw error
    const containers = pod.spec?.containers ?? []
    const { image } = containers.find(({ name }) => name === options.container) ?? containers[0] ?? {}
    throw startFailure(error.message, image ?? 'of the sandbox') ?? error
  }
}

function holdRuntimeWords(output: Readable | undefined, exit: Promise<unknown>): Readable | undefined {
  return output && Readable.from(withoutRuntimeWords(output, exit), { objectMode: false })
}

/** Passes an output on, but for words of the runtime that the error says again. A command may write the same ones. */
async function* withoutRuntimeWords(output: AsyncIterable<Buffer>, exit: Promise<unknown>): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  let passing = false
  for await (const chunk of output) {
    held = passing ? chunk : Buffer.concat([held, chunk])
    passing ||= held.length > HELD_BYTES || !held.subarray(0, RUNTIME_SPEAKS.length).equals(RUNTIME_SPEAKS)
    if (passing) yield held
  }
  if (passing || held.length === 0) return
  const error = await exit.then(
    () => undefined,
    (reason: Error) => reason,
  )
  if (!error?.message.includes(held.toString().trim())) yield held
}
