import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'

/** Runs lines of `ip` in one process, in a network namespace if one is named. Throws at the first that fails. */
export async function ipBatch(lines: string[], options: { namespace?: string; force?: boolean } = {}): Promise<void> {
  const args = [
    ...(options.namespace ? ['-n', options.namespace] : []),
    ...(options.force ? ['-force'] : []),
    '-batch',
    '-',
  ]
  const { exitCode, stderr } = await run(args, `${lines.join('\n')}\n`)
  if (exitCode === 0 || options.force) return
  const message = `ip could not set up the network: ${firstLine(stderr)}`
  if (!/Operation not permitted/.test(stderr)) throw new RuntimeError('network', message)
  throw new RuntimeError('network-missing', `${message}: this process needs the capability CAP_NET_ADMIN`)
}

/** What `ip -json` says. */
export async function ipJson(args: string[]): Promise<unknown[]> {
  const { exitCode, stdout, stderr } = await run(['-json', ...args])
  if (exitCode !== 0) throw new RuntimeError('network', `ip ${args.join(' ')} failed: ${firstLine(stderr)}`)
  const parsed: unknown = stdout.trim() === '' ? [] : JSON.parse(stdout)
  return Array.isArray(parsed) ? parsed : []
}

async function run(args: string[], stdin?: string): ReturnType<typeof runCommand> {
  try {
    return await runCommand('ip', args, stdin === undefined ? {} : { stdin })
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
