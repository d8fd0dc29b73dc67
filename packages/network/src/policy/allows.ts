/** Decides about one packet what the compiled rules decide in the kernel. */
import { contains, ipv4Range } from './address-range.ts'
import {
  type Direction,
  isIsolated,
  METADATA,
  type Policy,
  type PolicyPod,
  type PolicyRule,
  type Protocol,
  portsNamed,
  selectsPeer,
  selectsPod,
} from './policy-model.ts'

/** One end of a connection: a Pod, or an address that belongs to none. */
export type Endpoint = PolicyPod | { ip: string; uid?: undefined }

export interface Connection {
  from: Endpoint
  to: Endpoint
  protocol: Protocol
  port: number
}

/**
 * Whether a new connection may be opened, as Kubernetes defines it: the sender's egress and the receiver's ingress agree.
 * `policies` has at least those of both ends' namespaces.
 */
export function allows(connection: Connection, policies: readonly Policy[]): boolean {
  const { from, to } = connection
  // A Pod may always reach itself.
  if (from.ip === to.ip) return true
  return allowsDirection(connection, policies, 'egress') && allowsDirection(connection, policies, 'ingress')
}

/** The half of it that the policies of one end decide. */
export function allowsDirection(connection: Connection, policies: readonly Policy[], direction: Direction): boolean {
  const { from, to } = connection
  const [own, peer] = direction === 'egress' ? [from, to] : [to, from]
  const metadata = direction === 'egress' && contains(METADATA, addressOf(to))
  if (own.uid === undefined) return true
  if (!isIsolated(own, policies, direction)) return !metadata
  return policies.some(
    (policy) =>
      selectsPod(policy, own) &&
      policy[direction]?.some((rule) => matchesPeer(rule, peer, metadata) && matchesPort(rule, connection)),
  )
}

function matchesPeer({ peers }: PolicyRule, peer: Endpoint, metadata: boolean): boolean {
  if (!peers) return !metadata
  if (contains(peers.metadata, addressOf(peer))) return true
  if (contains(peers.ranges, addressOf(peer)) && !metadata) return true
  return peer.uid !== undefined && peers.selectors.some((selector) => selectsPeer(selector, peer))
}

function matchesPort({ ports }: PolicyRule, { to, protocol, port }: Connection): boolean {
  if (!ports) return true
  const named = to.uid === undefined ? [] : portsNamed(to, ports.names)
  return [...ports.numbers, ...named].some((each) => each.protocol === protocol && contains([each.ports], port))
}

function addressOf({ ip }: Endpoint): number {
  return ipv4Range(ip)?.from ?? -1
}
