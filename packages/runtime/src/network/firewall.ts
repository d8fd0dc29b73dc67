import { RuntimeError } from '../runtime.ts'
import { runCommand } from '../tools/run-command.ts'
import { findTool, toolEnvironment } from '../tools/tools.ts'

export interface FirewallOptions {
  /** Ours among the names of tables and chains. */
  tag: string
  /** Prefix of the names of our interfaces. */
  interfacePrefix: string
  cidr: string
  toolsDirectory: string
}

/**
 * Lets sandboxes out under the machine's address, and nobody from outside in. `undefined` where the machine has neither
 * nft nor iptables: sandboxes then reach the machine and each other only.
 */
export async function setUpFirewall(options: FirewallOptions): Promise<'nft' | 'iptables' | undefined> {
  const nft = await findTool('nft', options.toolsDirectory)
  if (nft) {
    const apply = (rules: string): ReturnType<typeof runCommand> =>
      runCommand(nft.path, ['-f', '-'], { stdin: rules, env: toolEnvironment(nft) })
    const strict = await apply(nftRules(options, { reversePath: true }))
    if (strict.exitCode === 0) return 'nft'
    // A kernel without that lookup has its own filter, which is strict unless the machine loosened it for all interfaces.
    const { exitCode, stderr } = await apply(nftRules(options, { reversePath: false }))
    if (exitCode === 0) return 'nft'
    throw new RuntimeError('network', `nft refused the rules of the pod network: ${stderr.trim().split('\n')[0]}`)
  }
  return (await setUpIptables(options)) ? 'iptables' : undefined
}

export async function removeFirewall(options: FirewallOptions): Promise<void> {
  const nft = await findTool('nft', options.toolsDirectory)
  if (nft) await runCommand(nft.path, ['delete', 'table', 'inet', tableName(options)], { env: toolEnvironment(nft) })
  else for (const rule of iptablesRules(options)) await runCommand('iptables', rule('-D')).catch(() => {})
}

function tableName({ tag }: FirewallOptions): string {
  return `caisson_${tag}`
}

/** Declared, emptied and filled in one transaction: packets never meet half of it. */
function nftRules(options: FirewallOptions, { reversePath }: { reversePath: boolean }): string {
  const table = `inet ${tableName(options)}`
  const ours = `"${options.interfacePrefix}*"`
  const forged = `
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname ${ours} fib saddr . iif oif missing drop
  }`
  return `table ${table} {}
delete table ${table}
table ${table} {${reversePath ? forged : ''}
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${ours} ip daddr 169.254.0.0/16 drop
    iifname ${ours} meta nfproto ipv6 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${ours} ip daddr 169.254.0.0/16 drop
    iifname ${ours} ip saddr != ${options.cidr} drop
    iifname ${ours} meta nfproto ipv6 drop
    iifname != ${ours} oifname ${ours} ct state new drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${options.cidr} oifname != ${ours} masquerade
  }
}
`
}

type IptablesRule = (action: '-A' | '-C' | '-D') => string[]

function iptablesRules({ cidr, interfacePrefix, tag }: FirewallOptions): IptablesRule[] {
  const ours = `${interfacePrefix}+`
  const comment = ['-m', 'comment', '--comment', `caisson-${tag}`]
  return [
    (action) => ['-w', '-t', 'nat', action, 'POSTROUTING', '-s', cidr, '!', '-o', ours, ...comment, '-j', 'MASQUERADE'],
    (action) => ['-w', action, 'FORWARD', '-i', ours, '-d', '169.254.0.0/16', ...comment, '-j', 'DROP'],
    (action) => ['-w', action, 'INPUT', '-i', ours, '-d', '169.254.0.0/16', ...comment, '-j', 'DROP'],
    (action) => [
      '-w',
      action,
      'FORWARD',
      '!',
      '-i',
      ours,
      '-o',
      ours,
      '-m',
      'conntrack',
      '--ctstate',
      'NEW',
      ...comment,
      '-j',
      'DROP',
    ],
  ]
}

async function setUpIptables(options: FirewallOptions): Promise<boolean> {
  for (const rule of iptablesRules(options)) {
    const present = await runCommand('iptables', rule('-C')).catch(() => undefined)
    if (!present) return false
    if (present.exitCode === 0) continue
    const { exitCode, stderr } = await runCommand('iptables', rule('-A'))
    if (exitCode !== 0)
      throw new RuntimeError('network', `iptables refused a rule of the pod network: ${stderr.trim()}`)
  }
  return true
}
