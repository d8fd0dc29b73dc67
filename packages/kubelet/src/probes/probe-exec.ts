import type { Readable } from 'node:stream'
import type { ExitStatus } from '@caisson/runtime'
import { expandCommand } from '../containers/expand-variables.ts'
import { ANSWER_BYTES, failure, type ProbeOutcome, seconds, success } from './probe-outcome.ts'
import { deadline, type ProbeTarget } from './probe-target.ts'

export interface CommandEnd {
  status: ExitStatus
  /** Both streams as they came, bounded. */
  output: string
}

/** Runs a command in the container to its end. Rejects where it cannot be started, or is over when the signal aborts. */
export async function runInContainer(
  { runtime, containerId }: ProbeTarget,
  args: string[],
  signal: AbortSignal,
): Promise<CommandEnd> {
  signal.throwIfAborted()
  await using streams = await runtime.exec(containerId, { args, env: {}, tty: false, stdin: false, signal })
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
  const chunks: Buffer[] = []
  let size = 0
  const read = async (stream: Readable | undefined): Promise<void> => {
    for await (const chunk of stream ?? []) {
      const rest = (chunk as Buffer).subarray(0, ANSWER_BYTES - size)
      size += rest.length
      if (rest.length > 0) chunks.push(rest)
    }
  }
  const end = Promise.all([streams.exit, read(streams.stdout), read(streams.stderr)])
  // Where the signal is first, what it does to the streams is nobody's to hear.
  end.catch(() => {})
  const [status] = await Promise.race([end, aborted])
  return { status, output: Buffer.concat(chunks).toString() }
}

/** `$(NAME)` stands for what the container's own `env` gives as a value, and for nothing else. */
function expandedCommand({ container }: ProbeTarget, command: readonly string[]): string[] {
  const values = new Map(container.env?.map(({ name, value }) => [name, value]))
  return expandCommand(command, (name) => values.get(name))
}

export async function probeExec(
  target: ProbeTarget,
  command: readonly string[],
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const args = expandedCommand(target, command)
  const signal = deadline(target, timeoutMs)
  try {
    const { status, output } = await runInContainer(target, args, signal)
    return status.exitCode === 0 ? success(output) : failure(output)
  } catch (error) {
    if (!signal.aborted) throw error
    return failure(`command timed out: ${JSON.stringify(args.join(' '))} timed out after ${seconds(timeoutMs)}`)
  }
}
