/**
 * Policies and Pods as rules of the kernel. A policy has one chain for each direction and one set of addresses for each
 * rule that selects Pods; Pods that the same policies isolate share a chain that asks these policies in turn. So a Pod
 * that comes or goes changes a few elements of sets and maps, and nothing else, however many Pods and policies there are.
 */
import { createHash } from 'node:crypto'
import type { RuleChain, RulePiece, RuleSet, SetElement } from '@caisson/runtime'
import { contains, formatIpv4, ipv4Range, type NumberRange } from './address-range.ts'
import {
  type Direction,
  type Policy,
  type PolicyPod,
  type PolicyRule,
  type PortRange,
  portsNamed,
  selectsPeer,
  selectsPod,
} from './policy-model.ts'

const DIRECTIONS = ['ingress', 'egress'] as const
const ADDRESSES = 'type ipv4_addr'
const ADDRESS_PORTS = 'type ipv4_addr . inet_proto . inet_service'
const EVERY_ADDRESS = 2 ** 32 - 1

/** What a policy is, whatever Pods there are. */
export function policyPiece(policy: Policy): RulePiece {
  const sets: RuleSet[] = []
  const chains: RuleChain[] = []
  for (const direction of DIRECTIONS) {
    const rules = policy[direction]
    // One that opens nothing isolates, and is asked nothing.
    if (!rules?.length) continue
    chains.push({
      name: policyChain(policy, direction),
      rules: rules.flatMap((rule, index) => {
        const at = { policy, direction, index }
        if (rule.peers?.selectors.length) sets.push({ name: peerSet(at), kind: 'set', declaration: ADDRESSES })
        if (rule.ports?.names.length) sets.push({ name: namedPortSet(at), kind: 'set', declaration: ADDRESS_PORTS })
        return ruleTexts(rule, at)
      }),
    })
  }
  return { sets, chains }
}

/** A chain for Pods that these policies isolate in a direction. */
export interface IsolationClass {
  name: string
  direction: Direction
  /** Those that open something, in the order of their ids. */
  policies: readonly Policy[]
}

export function isolationPiece({ name, direction, policies }: IsolationClass): RulePiece {
  const asked = policies.map((policy) => `jump ${policyChain(policy, direction)}`)
  return { chains: [{ name, rules: [...asked, 'goto refuse'] }] }
}

/** Which chain decides about a Pod that these policies select; undefined where nothing isolates it. */
function isolationClass(
  pod: PolicyPod,
  selecting: readonly Policy[],
  direction: Direction,
): IsolationClass | undefined {
  if (!pod.isolated && selecting.every((policy) => policy[direction] === undefined)) return undefined
  const own = selecting.filter((policy) => policy[direction]?.length).sort((a, b) => (a.id < b.id ? -1 : 1))
  const hash = createHash('sha256').update(own.map(({ id }) => id).join(' '))
  return { name: `c${direction[0]}${hash.digest('hex').slice(0, 16)}`, direction, policies: own }
}

/** What decides about a Pod: its place in the maps, and the chains that these lead to. */
export function podPiece(
  pod: PolicyPod,
  selecting: readonly Policy[],
): { piece: RulePiece; classes: readonly IsolationClass[] } {
  const elements: SetElement[] = [{ set: 'hairpin', key: `${pod.ip} . ${pod.ip}` }]
  const classes: IsolationClass[] = []
  for (const direction of DIRECTIONS) {
    const isolation = isolationClass(pod, selecting, direction)
    const unhindered = direction === 'egress' ? 'goto open' : 'accept'
    elements.push({ set: direction, key: pod.ip, value: isolation ? `goto ${isolation.name}` : unhindered })
    if (isolation) classes.push(isolation)
  }
  return { piece: { elements }, classes }
}

/** What a Pod adds to the sets of a policy; undefined where it is nothing to it, neither selected nor named. */
export function policyShare(policy: Policy, pod: PolicyPod): { selected: boolean; piece: RulePiece } | undefined {
  const elements: SetElement[] = []
  const selected = selectsPod(policy, pod)
  for (const direction of DIRECTIONS) {
    for (const [index, { peers, ports }] of (policy[direction] ?? []).entries()) {
      const at = { policy, direction, index }
      const isPeer = peers === undefined || peers.selectors.some((selector) => selectsPeer(selector, pod))
      if (peers && isPeer) elements.push({ set: peerSet(at), key: pod.ip })
      // Names are those of the ports of whoever is connected to.
      const isTarget = direction === 'ingress' ? selected : isPeer || holds(peers?.ranges, pod.ip)
      if (ports && isTarget) {
        for (const range of portsNamed(pod, ports.names))
          elements.push({ set: namedPortSet(at), key: `${pod.ip} . ${portText(range)}` })
      }
    }
  }
  return selected || elements.length > 0 ? { selected, piece: { elements } } : undefined
}

interface RulePlace {
  policy: Policy
  direction: Direction
  index: number
}

function policyChain({ id }: Policy, direction: Direction): string {
  return `p${direction[0]}${id}`
}

function peerSet({ policy, direction, index }: RulePlace): string {
  return `${policyChain(policy, direction)}_${index}a`
}

function namedPortSet({ policy, direction, index }: RulePlace): string {
  return `${policyChain(policy, direction)}_${index}n`
}

function ruleTexts({ peers, ports }: PolicyRule, at: RulePlace): string[] {
  const address = at.direction === 'ingress' ? 'ip saddr' : 'ip daddr'
  // Whoever opens the whole world does not mean to hand out the machine's own credentials.
  const elsewhere = at.direction === 'egress' ? ['ip daddr != @metadata'] : []
  const who: string[][] = []
  if (!peers) who.push(elsewhere)
  else {
    if (peers.selectors.length > 0) who.push([`${address} @${peerSet(at)}`])
    if (peers.ranges.length > 0) who.push([...rangeMatch(address, peers.ranges), ...elsewhere])
    if (peers.metadata.length > 0) who.push(rangeMatch(address, peers.metadata))
  }
  const where: string[][] = []
  if (!ports) where.push([])
  else if (ports.numbers.length > 0)
    where.push([`meta l4proto . th dport { ${ports.numbers.map(portText).join(', ')} }`])
  const named = `ip daddr . meta l4proto . th dport @${namedPortSet(at)}`
  if (ports?.names.length && at.direction === 'ingress') where.push([named])
  const texts = who.flatMap((peer) => where.map((port) => [...peer, ...port, 'accept'].join(' ')))
  // Its elements are those of peers alone.
  if (ports?.names.length && at.direction === 'egress') texts.push(`${named} accept`)
  return texts
}

function rangeMatch(address: string, ranges: readonly NumberRange[]): string[] {
  const [first] = ranges
  if (first?.from === 0 && first.to === EVERY_ADDRESS) return []
  return [`${address} { ${ranges.map(({ from, to }) => span(formatIpv4(from), formatIpv4(to))).join(', ')} }`]
}

function portText({ protocol, ports }: PortRange): string {
  return `${protocol} . ${span(String(ports.from), String(ports.to))}`
}

function span(from: string, to: string): string {
  return from === to ? from : `${from}-${to}`
}

function holds(ranges: readonly NumberRange[] | undefined, ip: string): boolean {
  return ranges !== undefined && contains(ranges, ipv4Range(ip)?.from ?? -1)
}
