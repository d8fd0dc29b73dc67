import { RuntimeError } from '../runtime-error.ts'
import { type CommandResult, type RunCommand, runCommand } from '../tools/run-command.ts'

export interface BatchOptions {
  /** Name of the network namespace to work in. */
  namespace?: string
  /** Goes on after lines that fail, and throws for none. */
  force?: boolean
  /** Starts `ip`. */
  run?: RunCommand
}

/** Runs lines of `ip` in one process. Throws at the first that fails. */
export async function ipBatch(lines: string[], options: BatchOptions = {}): Promise<void> {
  const args = [
    ...(options.namespace ? ['-n', options.namespace] : []),
    ...(options.force ? ['-force'] : []),
    '-batch',
    '-',
  ]
  const { exitCode, stderr } = await runIp(args, { stdin: `${lines.join('\n')}\n`, run: options.run })
  if (exitCode === 0 || options.force) return
  const message = `ip could not set up the network: ${firstLine(stderr)}`
  if (!/Operation not permitted/.test(stderr)) throw new RuntimeError('network', message)
  throw new RuntimeError('network-missing', `${message}: this process needs the capability CAP_NET_ADMIN`)
}

/** What `ip -json` says. */
export async function ipJson(args: string[]): Promise<unknown[]> {
  const { exitCode, stdout, stderr } = await runIp(['-json', ...args])
  if (exitCode !== 0) throw new RuntimeError('network', `ip ${args.join(' ')} failed: ${firstLine(stderr)}`)
  const parsed: unknown = stdout.trim() === '' ? [] : JSON.parse(stdout)
  return Array.isArray(parsed) ? parsed : []
}

async function runIp(
  args: string[],
  { stdin, run = runCommand }: { stdin?: string; run?: RunCommand | undefined } = {},
): Promise<CommandResult> {
  try {
    return await run('ip', args, stdin === undefined ? {} : { stdin })
  } catch (cause) {
    throw new RuntimeError(
      'network-missing',
      'the program ip was not found: install iproute2, or run sandboxes without a network',
      { cause },
    )
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}
