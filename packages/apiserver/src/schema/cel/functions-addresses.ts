/** IP addresses and networks in CEL. */
import {
  isGlobalUnicast,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isUnspecified,
} from '../../registry/ip-bytes.ts'
import { type Declaration, declare, global, member, sizeOf, succeeds, traversal } from './functions.ts'
import { TO_STRING } from './functions-standard.ts'
import { type IpAddress, type Network, parseIp, parseNetwork } from './ip-address.ts'
import { BOOL, CIDR, INT, IP, STRING } from './types.ts'
import type { Value } from './values.ts'

const ADDRESS_TESTS: ReadonlyArray<readonly [name: string, id: string, test: (bytes: Uint8Array) => boolean]> = [
  ['isUnspecified', 'unspecified', isUnspecified],
  ['isLoopback', 'loopback', isLoopback],
  ['isLinkLocalMulticast', 'link_local_multicast', isLinkLocalMulticast],
  ['isLinkLocalUnicast', 'link_local_unicast', isLinkLocalUnicast],
  ['isGlobalUnicast', 'global_unicast', isGlobalUnicast],
]

const prefixCost =
  (times: number, extra: number) =>
  ([network, other]: readonly Value[]): number => {
    const size = sizeOf(network as Value)
    const parsing = typeof other === 'string' ? Math.ceil(sizeOf(other) * 0.1) : 0
    return Math.ceil(size * 2 * 0.1) + (times ? Math.ceil(size * 0.1) + extra : 0) + parsing
  }

function holds(network: Network, other: Network): boolean {
  return network.bits <= other.bits && network.contains(other.address)
}

const addresses: readonly Declaration[] = [
  declare(
    'ip',
    global('string_to_ip', [STRING], IP, (_, text: string) => parseIp(text), { cost: traversal() }),
    member('cidr_ip', [CIDR], IP, (_, network: Network) => network.address),
  ),
  declare(
    'isIP',
    global('is_ip', [STRING], BOOL, (_, text: string) => succeeds(() => parseIp(text)), { cost: traversal() }),
  ),
  declare(
    'ip.isCanonical',
    global('ip_is_canonical', [STRING], BOOL, (_, text: string) => String(parseIp(text)) === text, {
      cost: traversal(2),
    }),
  ),
  declare(
    'family',
    member('ip_family', [IP], INT, (_, ip: IpAddress) => (ip.bytes.length === 4 ? 4n : 6n)),
  ),
  ...ADDRESS_TESTS.map(([name, id, test]) =>
    declare(
      name,
      member(`ip_is_${id}`, [IP], BOOL, (_, ip: IpAddress) => test(ip.bytes)),
    ),
  ),
  declare(
    'cidr',
    global('string_to_cidr', [STRING], CIDR, (_, text: string) => parseNetwork(text), { cost: traversal() }),
  ),
  declare(
    'isCIDR',
    global('is_cidr', [STRING], BOOL, (_, text: string) => succeeds(() => parseNetwork(text)), { cost: traversal() }),
  ),
  declare(
    'containsIP',
    member(
      'cidr_contains_ip_string',
      [CIDR, STRING],
      BOOL,
      (_, network: Network, text: string) => network.contains(parseIp(text)),
      { cost: prefixCost(0, 0) },
    ),
    member('cidr_contains_ip_ip', [CIDR, IP], BOOL, (_, network: Network, ip: IpAddress) => network.contains(ip), {
      cost: prefixCost(0, 0),
    }),
  ),
  declare(
    'containsCIDR',
    member(
      'cidr_contains_cidr_string',
      [CIDR, STRING],
      BOOL,
      (_, network: Network, text: string) => holds(network, parseNetwork(text)),
      { cost: prefixCost(1, 1) },
    ),
    member('cidr_contains_cidr', [CIDR, CIDR], BOOL, (_, network: Network, other: Network) => holds(network, other), {
      cost: prefixCost(1, 1),
    }),
  ),
  declare(
    'prefixLength',
    member('cidr_prefix_length', [CIDR], INT, (_, network: Network) => BigInt(network.bits)),
  ),
  declare(
    'masked',
    member('cidr_masked', [CIDR], CIDR, (_, network: Network) => network.masked()),
  ),
]

const toString = declare(
  'string',
  ...TO_STRING,
  global('ip_to_string', [IP], STRING, (_, ip: IpAddress) => String(ip)),
  global('cidr_to_string', [CIDR], STRING, (_, network: Network) => String(network)),
)

export const ADDRESS_FUNCTIONS: readonly Declaration[] = [toString, ...addresses]
