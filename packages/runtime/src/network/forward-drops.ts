import { runCommand } from '../tools/run-command.ts'
import { findTool, toolEnvironment } from '../tools/tools.ts'

/**
 * Chains of others that drop what this machine forwards unless they know of it, such as `ip filter FORWARD` of a container
 * engine. What one table drops no other can let through, so that Pods reach nobody there.
 *
 * @returns undefined where it cannot be looked at: without nft, or without the right to list rules
 */
export async function findForwardDrops(toolsDirectory: string): Promise<string[] | undefined> {
  const nft = await findTool('nft', toolsDirectory)
  if (!nft) return undefined
  const { exitCode, stdout } = await runCommand(nft.path, ['list', 'chains'], { env: toolEnvironment(nft) })
  return exitCode === 0 ? parseForwardDrops(stdout) : undefined
}

/** Of what `nft list chains` says. */
export function parseForwardDrops(text: string): string[] {
  const found: string[] = []
  let table = ''
  let chain = ''
  for (const line of text.split('\n').map((each) => each.trim())) {
    table = /^table (\S+ \S+) \{$/.exec(line)?.[1] ?? table
    chain = /^chain (\S+) \{$/.exec(line)?.[1] ?? chain
    const isIpv4 = /^(ip|inet) /.test(table)
    if (isIpv4 && /^type filter hook forward .*policy drop;/.test(line)) found.push(`${table} ${chain}`)
  }
  return found
}
