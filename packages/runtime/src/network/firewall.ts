import { RuntimeError } from '../runtime-error.ts'
import { findTool } from '../tools/tools.ts'
import { flowsCommands, flowsTable, forgetFlows } from './flows.ts'
import { openNftSession } from './nft-session.ts'
import {
  closedPiece,
  dependenciesFirst,
  planRuleChange,
  type RefusedPieces,
  type RuleChange,
  type RulePiece,
} from './rule-piece.ts'
import { forgetTraffic, listTraffic, readTraffic, trafficCommands, trafficTable } from './traffic.ts'

export interface FirewallOptions {
  /** Ours among the names of tables. */
  tag: string
  /** Prefix of the names of our interfaces. */
  interfacePrefix: string
  /** The range of sandboxes' addresses. */
  cidr: string
  /** The address of this machine that they know it by. */
  gateway: string
  /** The address that it asks them from whether they are well: what comes from there is no traffic of theirs. */
  prober: string
  toolsDirectory: string
}

/**
 * The rules for what sandboxes send and receive: one nftables table. A sandbox's address may do nothing until it is in the
 * maps `egress` and `ingress`, so that there is no moment at which it may do more than it should; the kernel goes on
 * enforcing what it was told while this process is down.
 */
export interface Firewall extends AsyncDisposable {
  /** Makes the table where it is missing. What an earlier process left stays in force until the first change. */
  ensure(): Promise<void>
  /**
   * Resolves when the kernel has taken the change. The first one replaces all that an earlier process left. Gives the
   * pieces that the kernel refused, by their keys, and why: they are closed (see `closedPiece`), and all others in force.
   */
  change(change: RuleChange): Promise<RefusedPieces>
  /** Packets that went in and out of sandboxes, by address, but for the node's own; none where there were none. */
  traffic(): Promise<ReadonlyMap<string, number>>
  /** What was counted of who is gone: the next who has the address begins anew. */
  forget(address: string): Promise<void>
  /** Takes the tables away. */
  remove(): Promise<void>
}

/**
 * What clouds serve to their machines, credentials among it: link-local addresses (most clouds), and those of Alibaba,
 * Oracle and Azure outside of them.
 */
export const METADATA_RANGES = ['169.254.0.0/16', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'] as const

/** Rejects with code `network-missing` where the machine has no nft. */
export async function createFirewall(options: FirewallOptions): Promise<Firewall> {
  const nft = await findTool('nft', options.toolsDirectory)
  if (!nft) {
    throw new RuntimeError(
      'network-missing',
      "sandboxes have no network without nftables: install it, or let 'caisson doctor --fix' fetch it",
    )
  }
  const session = openNftSession(nft)
  const table = tableName(options.tag)
  let pieces = new Map<string, RulePiece>()
  /** Whether the table holds what `pieces` says. */
  let current = false
  let waiting: { change: Map<string, RulePiece | undefined>; done: Promise<RefusedPieces> } | undefined
  /** What could not be given to the kernel at all goes to it with what comes next. */
  let failed = new Map<string, RulePiece | undefined>()
  let last: Promise<unknown> = Promise.resolve()

  /** Puts these pieces in place of all that the table holds. Rejects, and nothing is changed, where one is refused. */
  async function replace(next: ReadonlyMap<string, RulePiece>): Promise<void> {
    await session.run([...baseCommands(options), ...planRuleChange(table, new Map(), next)])
    pieces = new Map(next)
    current = true
  }

  /** Rejects, and nothing is changed, where a piece is refused. */
  async function give(change: RuleChange): Promise<void> {
    if (!current) return replace(changed(pieces, change))
    const commands = planRuleChange(table, pieces, change)
    if (commands.length > 0) await session.run(commands)
    // In place: there are as many as Pods and policies that they are something to.
    put(pieces, change)
  }

  async function apply(change: RuleChange): Promise<RefusedPieces> {
    try {
      await give(change)
      return new Map()
    } catch {
      // Somebody may have changed or removed the table: without the change it is as it was, or this machine's to blame.
      await replace(pieces)
    }
    const refused = new Map<string, Error>()
    // What goes away goes last, when nothing leads to it any more.
    const [made, gone] = [dependenciesFirst(change), [...change].filter(([, piece]) => !piece)]
    await applyParts([...made, ...gone], refused)
    return refused
  }

  /** All at once, or where that is refused one half after the other, until the pieces are found that are refused alone. */
  async function applyParts(
    parts: ReadonlyArray<[string, RulePiece | undefined]>,
    refused: Map<string, Error>,
  ): Promise<void> {
    try {
      await give(new Map(parts))
    } catch (error) {
      const [first] = parts
      if (!first) throw error
      if (parts.length === 1) {
        await setAside(first)
        refused.set(first[0], error as Error)
        return
      }
      const half = parts.length >> 1
      await applyParts(parts.slice(0, half), refused)
      await applyParts(parts.slice(half), refused)
    }
  }

  /** In the place of what was there before under its key. */
  async function setAside([key, piece]: [string, RulePiece | undefined]): Promise<void> {
    try {
      await give(new Map([[key, piece && closedPiece(piece)]]))
    } catch {
      await give(new Map([[key, undefined]]))
    }
  }

  async function applyAfter(before: Promise<unknown>, change: RuleChange): Promise<RefusedPieces> {
    await before
    waiting = undefined
    failed = new Map([...failed, ...change])
    const refused = await apply(failed)
    failed = new Map()
    return refused
  }

  return {
    async ensure() {
      try {
        const isThere = session.run([`list chain ${table} ${VERSION_CHAIN}`])
        await isThere.catch(() => session.run(baseCommands(options)))
        await session.run(trafficCommands(options))
        // Without a bound where the kernel has no `ct count`: a network all the same.
        await session.run(flowsCommands(options)).catch(() => {})
      } catch (cause) {
        const { message } = cause as Error
        throw new RuntimeError('network-missing', `sandboxes have no network on this machine: ${message}`, { cause })
      }
    },
    change(change) {
      // What comes while the kernel is busy goes to it together.
      if (waiting) {
        for (const [key, piece] of change) waiting.change.set(key, piece)
        return waiting.done
      }
      const own = new Map(change)
      const batch = { change: own, done: applyAfter(last, own) }
      waiting = batch
      last = batch.done.catch(() => {})
      return batch.done
    },
    async traffic() {
      try {
        return readTraffic(await session.run([listTraffic(options.tag)]))
      } catch {
        // Somebody has taken it away: it is counted anew.
        await session.run(trafficCommands(options))
        return new Map()
      }
    },
    async forget(address) {
      await session.run(forgetTraffic(options.tag, address))
      await session.run(forgetFlows(options.tag, address)).catch(() => {})
    },
    async remove() {
      await last
      const counters = [trafficTable(options.tag), flowsTable(options.tag)]
      await session.run([table, ...counters].flatMap((each) => [`add table ${each}`, `delete table ${each}`]))
    },
    async [Symbol.asyncDispose]() {
      await last
      await session[Symbol.asyncDispose]()
    },
  }
}

function changed(before: ReadonlyMap<string, RulePiece>, change: RuleChange): Map<string, RulePiece> {
  const next = new Map(before)
  put(next, change)
  return next
}

function put(pieces: Map<string, RulePiece>, change: RuleChange): void {
  for (const [key, piece] of change) {
    if (piece) pieces.set(key, piece)
    else pieces.delete(key)
  }
}

export function tableName(tag: string): string {
  return `inet caisson_${tag}`
}

// A table that an older or newer Caisson made is made anew.
const VERSION_CHAIN = 'layout_3'

/**
 * The table as it is while nobody has added anything. Names that others add to: `egress` and `ingress` (address to
 * verdict), `services` (address, protocol and port to a chain that redirects), `virtual` (addresses that only `services`
 * leads on from), `hairpin` (pairs of the same address: who may reach itself through a Service), `served` and `doors`
 * (ports of the gateway: for every sandbox, and for those whose egress allows it); the chains `open` and `refuse`.
 */
function baseCommands({ tag, interfacePrefix, cidr, gateway, prober }: FirewallOptions): string[] {
  const table = tableName(tag)
  const ours = `"${interfacePrefix}*"`
  // Who may open connections to sandboxes from this machine: the administrator, and whoever runs this process.
  const users = `{ ${[...new Set([0, process.getuid?.() ?? 0])].join(', ')} }`
  const chain = (name: string, hook: string, rules: readonly string[]): string[] => [
    `add chain ${table} ${name}${hook === '' ? '' : ` { type ${hook}; policy accept; }`}`,
    ...rules.map((rule) => `add rule ${table} ${name} ${rule}`),
  ]
  // Answers ride on what was let through. What the side that began sends is judged anew with every packet, so that a
  // connection ends when a policy closes it.
  const answers = 'ct state established,related ct direction reply accept'
  const related = 'ct state related accept'
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `add table ${table}`,
    `add set ${table} metadata { type ipv4_addr; flags interval; elements = { ${METADATA_RANGES.join(', ')} }; }`,
    `add set ${table} virtual { type ipv4_addr; flags interval; }`,
    `add set ${table} hairpin { type ipv4_addr . ipv4_addr; }`,
    `add set ${table} served { type inet_proto . inet_service; }`,
    `add set ${table} doors { type inet_proto . inet_service; }`,
    `add map ${table} egress { type ipv4_addr : verdict; }`,
    `add map ${table} ingress { type ipv4_addr : verdict; }`,
    `add map ${table} services { type ipv4_addr . inet_proto . inet_service : verdict; }`,
    ...chain(VERSION_CHAIN, '', []),
    // At once, not after a time-out: programs in sandboxes should hear that they may not.
    ...chain('refuse', '', ['meta l4proto tcp reject with tcp reset', 'reject with icmpx type admin-prohibited']),
    ...chain('open', '', ['ip daddr @metadata goto refuse', 'accept']),
    // No sandbox speaks for another, and none speaks IPv6.
    ...chain('forged', 'filter hook prerouting priority raw', [
      `iifname ${ours} meta nfproto ipv6 drop`,
      `iifname ${ours} fib saddr . iif oif missing drop`,
    ]),
    // Before anybody's redirection: an address of this machine is this machine, whatever it does with the port.
    ...chain('machine', '', [
      answers,
      related,
      `ip daddr ${gateway} meta l4proto . th dport @served accept`,
      `ip daddr ${gateway} meta l4proto . th dport @doors ip saddr vmap @egress`,
      'goto refuse',
    ]),
    ...chain('arrived', 'filter hook prerouting priority mangle', [
      `iifname ${ours} fib daddr type local jump machine`,
    ]),
    ...chain('redirected', 'nat hook prerouting priority dstnat', [
      `iifname ${ours} ip daddr . meta l4proto . th dport vmap @services`,
    ]),
    ...chain('to_machine', 'filter hook input priority filter', [
      `iifname ${ours} jump machine`,
      `iifname != "lo" ip daddr { ${gateway}, ${prober} } drop`,
    ]),
    ...chain('leaving', '', [
      answers,
      related,
      `ip saddr != ${cidr} drop`,
      'ip saddr . ip daddr @hairpin accept',
      'ip daddr @virtual goto refuse',
      'ip saddr vmap @egress',
      'goto refuse',
    ]),
    ...chain('entering', '', [
      answers,
      related,
      `iifname != ${ours} drop`,
      'ip saddr . ip daddr @hairpin accept',
      'ip daddr vmap @ingress',
      'goto refuse',
    ]),
    // One after the other, not one from the other: the kernel walks every path through the chains of a hook.
    ...chain('from_sandbox', 'filter hook forward priority -1', [`iifname ${ours} jump leaving`]),
    ...chain('to_sandbox', 'filter hook forward priority filter', [`oifname ${ours} jump entering`]),
    ...chain('from_machine', 'filter hook output priority filter', [
      `oifname ${ours} meta nfproto ipv6 drop`,
      `oifname ${ours} meta skuid != ${users} goto refuse`,
      `ip daddr ${gateway} meta skuid != ${users} goto refuse`,
    ]),
    ...chain('masked', 'nat hook postrouting priority srcnat', [
      'ip saddr . ip daddr @hairpin masquerade',
      `ip saddr ${cidr} oifname != ${ours} masquerade`,
    ]),
  ]
}
