/**
 * Which addresses a pull may reach. Whoever names an image makes this machine connect to a host of their choice, and that
 * host may send it on: a tenant must get neither at what listens on this machine only nor at a cloud's metadata.
 */
import { type LookupAddress, lookup as lookUp } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'

/** From the outermost to the innermost; `cluster` has its Pods and Services, `never` is for nobody. */
export type Reach = 'public' | 'private' | 'cluster' | 'this-machine' | 'never'

const ORDER: readonly Reach[] = ['public', 'private', 'cluster', 'this-machine', 'never']

const NEVER = blockList([
  ['0.0.0.0', 8],
  // Link-local, where clouds have their metadata; then those that have it elsewhere.
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['fe80::', 10],
  ['fd00:ec2::', 32],
  ['fd20:ce::254', 128],
  ['ff00::', 8],
])

const PRIVATE = blockList([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['fc00::', 7],
  ['fec0::', 10],
])

const NONE = new BlockList()

const LOOPBACK = blockList([
  ['127.0.0.0', 8],
  ['::1', 128],
])

/** What an IP address, as text, belongs to; `cluster` has the ranges of the cluster's Pods and Services. */
export function reachOf(address: string, cluster = NONE): Reach {
  const plain = embeddedAddress(address) ?? address.replace(/%.*$/, '')
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(plain) === 0 || NEVER.check(plain, family)) return 'never'
  if (LOOPBACK.check(plain, family) || isOwn(plain)) return 'this-machine'
  if (cluster.check(plain, family)) return 'cluster'
  return PRIVATE.check(plain, family) ? 'private' : 'public'
}

export function isWithinReach(reach: Reach, most: Reach): boolean {
  return reach !== 'never' && ORDER.indexOf(reach) <= ORDER.indexOf(most)
}

/** Of networks as `10.0.0.0/8`. */
export function rangesOf(networks: readonly string[]): BlockList {
  return blockList(
    networks.map((network) => {
      const [address = '', prefix] = network.split('/')
      return [address, Number(prefix)]
    }),
  )
}

/** Node's look-up, less the addresses that are out of reach. Connections go to what it gives, so no later answer counts. */
export function guardedLookup(
  { most, cluster }: { most: Reach; cluster?: BlockList },
  excepted: (hostname: string) => boolean,
): LookupFunction {
  return (hostname, options, callback) => {
    lookUp(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, [])
      const addresses = (found as LookupAddress[]).filter(
        ({ address }) => excepted(hostname) || isWithinReach(reachOf(address, cluster), most),
      )
      const [first] = addresses
      if (!first) {
        const refused = (found as LookupAddress[])[0]?.address ?? ''
        return callback(outOfReach(hostname, { address: refused, reach: reachOf(refused, cluster) }), [])
      }
      if (options.all) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

export const OUT_OF_REACH = 'ERR_OUT_OF_REACH'

export function outOfReach(
  hostname: string,
  { address, reach }: { address: string; reach: Reach },
): NodeJS.ErrnoException {
  const where = hostname === address ? address : `${hostname} (${address})`
  return Object.assign(new Error(`${where} ${REASONS[reach]}`), { code: OUT_OF_REACH })
}

const REASONS: Record<Reach, string> = {
  public: 'is not where images may be pulled from',
  private: 'is in a private network, to which a public registry may not lead',
  cluster: 'is in the network of Pods and Services: name it in the configuration of registries to pull from it',
  'this-machine': 'is this machine itself: name it in the configuration of registries to pull from it',
  never: 'is not an address from which images are ever pulled',
}

/** IPv4 addresses come in the clothes of IPv6: mapped, and through NAT64. */
function embeddedAddress(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined
  const text = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1)
  const hex = /^(?:::ffff:|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text)
  if (!hex) return undefined
  const number = (Number.parseInt(hex[1] ?? '', 16) << 16) | Number.parseInt(hex[2] ?? '', 16)
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.')
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some((each) => each.address === address))
}

function blockList(networks: ReadonlyArray<[address: string, prefix: number]>): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of networks) list.addSubnet(address, prefix, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return list
}
