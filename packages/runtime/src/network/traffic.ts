/**
 * How many packets sandboxes have sent and were sent, but for the node's own questions: those come from an address of
 * their own. The table is another one than that of the rules, since each daemon makes the rules anew, and what was counted
 * is to be remembered across daemons.
 */
export interface TrafficOptions {
  /** Ours among the names of tables. */
  tag: string
  /** Prefix of the names of our interfaces. */
  interfacePrefix: string
  /** The address that the node asks sandboxes from. */
  prober: string
}

/** As many as the largest range has addresses: an element is only made for who has an interface of ours. */
const MOST_ADDRESSES = 65_536

export function trafficTable(tag: string): string {
  return `inet caisson_${tag}_traffic`
}

/** Makes the table, and leaves what it has counted. */
export function trafficCommands({ tag, interfacePrefix, prober }: TrafficOptions): string[] {
  const table = trafficTable(tag)
  const ours = `"${interfacePrefix}*"`
  return [
    `add table ${table}`,
    `add set ${table} packets { type ipv4_addr; size ${MOST_ADDRESSES}; flags dynamic; counter; }`,
    // After what is sent under another's address has been dropped.
    `add chain ${table} sent { type filter hook prerouting priority raw + 10; policy accept; }`,
    `add chain ${table} received { type filter hook postrouting priority filter; policy accept; }`,
    `flush chain ${table} sent`,
    `flush chain ${table} received`,
    `add rule ${table} sent iifname ${ours} ip daddr != ${prober} add @packets { ip saddr }`,
    `add rule ${table} received oifname ${ours} ip saddr != ${prober} add @packets { ip daddr }`,
  ]
}

export function listTraffic(tag: string): string {
  return `list set ${trafficTable(tag)} packets`
}

/** Also where nothing was counted. */
export function forgetTraffic(tag: string, address: string): string[] {
  const element = `element ${trafficTable(tag)} packets { ${address} }`
  return [`add ${element}`, `delete ${element}`]
}

/** Packets by address, of what nft lists. */
export function readTraffic(listed: string): Map<string, number> {
  const elements = listed.matchAll(/(\d+\.\d+\.\d+\.\d+) counter packets (\d+) bytes/g)
  return new Map(elements.map(([, address = '', packets]) => [address, Number(packets)]))
}
