/**
 * How many connections, and whatever else the kernel follows as one, a sandbox may have begun that are still open: all
 * sandboxes and the machine share one table of them, and where that is full nobody's next packet gets through. The table of
 * rules is another one, since that is made anew, and what was counted is not to be begun again.
 */
export interface FlowsOptions {
  /** Ours among the names of tables. */
  tag: string
  /** Prefix of the names of our interfaces. */
  interfacePrefix: string
}

/** Of one sandbox; the kernel follows 262,144 by default. What is closed and only remembered does not count. */
const MOST_FLOWS = 2_048
/** As many as the largest range has addresses: an element is only made for who has an interface of ours. */
const MOST_ADDRESSES = 65_536

export function flowsTable(tag: string): string {
  return `inet caisson_${tag}_flows`
}

/** Makes the table, and leaves what it has counted. Kernels without `ct count` refuse it. */
export function flowsCommands({ tag, interfacePrefix }: FlowsOptions): string[] {
  const table = flowsTable(tag)
  return [
    `add table ${table}`,
    `add set ${table} flows { type ipv4_addr; size ${MOST_ADDRESSES}; flags dynamic; }`,
    `add chain ${table} refuse`,
    // After what is sent under another's address has been dropped, and once it is known what begins a connection.
    `add chain ${table} began { type filter hook prerouting priority mangle; policy accept; }`,
    `flush chain ${table} began`,
    `flush chain ${table} refuse`,
    `add rule ${table} refuse meta l4proto tcp reject with tcp reset`,
    `add rule ${table} refuse reject with icmpx type admin-prohibited`,
    `add rule ${table} began iifname "${interfacePrefix}*" ct state new add @flows { ip saddr ct count over ${MOST_FLOWS} } goto refuse`,
  ]
}

/** Also where nothing was counted. */
export function forgetFlows(tag: string, address: string): string[] {
  const element = `element ${flowsTable(tag)} flows { ${address} }`
  return [`add ${element}`, `delete ${element}`]
}
