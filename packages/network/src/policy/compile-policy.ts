/**
 * Policies and Pods as rules of the kernel. A policy has one chain for each direction, one set for whom it selects and one
 * for each rule that selects peers; a namespace has one chain for each direction that asks its policies in turn, each for
 * whom it selects. So a Pod that comes or goes changes a few elements of sets and maps, and a policy one chain and the
 * elements of its Pods, however their labels mix.
 */
import { createHash } from 'node:crypto'
import type { RuleChain, RulePiece, RuleSet, SetElement } from '@caisson/runtime'
import { contains, formatIpv4, ipv4Range, type NumberRange } from './address-range.ts'
import {
  type Direction,
  opens,
  type Policy,
  type PolicyPod,
  type PolicyRule,
  type PortRange,
  portsNamed,
  says,
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
    const rules = policy[direction] ?? []
    if (rules.length === 0) continue
    if (!selectsAll(policy)) sets.push({ name: selectedSet(policy, direction), kind: 'set', declaration: ADDRESSES })
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

/** What asks the policies of a namespace; undefined where none of them opens anything. */
export function namespacePiece(namespace: string, policies: readonly Policy[]): RulePiece | undefined {
  const chains = DIRECTIONS.flatMap((direction): RuleChain[] => {
    const opening = policies.filter((policy) => opens(policy, direction)).sort((a, b) => (a.id < b.id ? -1 : 1))
    if (opening.length === 0) return []
    const own = direction === 'ingress' ? 'ip daddr' : 'ip saddr'
    const asked = opening.map((policy) => {
      const whom = selectsAll(policy) ? '' : `${own} @${selectedSet(policy, direction)} `
      return `${whom}jump ${policyChain(policy, direction)}`
    })
    return [{ name: namespaceChain(namespace, direction), rules: [...asked, 'goto refuse'] }]
  })
  return chains.length > 0 ? { chains } : undefined
}

/** What decides about a Pod: its place in the maps. */
export function podPiece(pod: PolicyPod, standing: Standing): RulePiece {
  const verdicts = DIRECTIONS.map((direction) => ({
    set: direction,
    key: pod.ip,
    value: verdict(pod, standing[direction], direction),
  }))
  return { elements: [{ set: 'hairpin', key: `${pod.ip} . ${pod.ip}` }, ...verdicts] }
}

/** How many policies select a Pod and isolate it in a direction, and how many of these have rules for it. */
export type Standing = Readonly<Record<Direction, { isolating: number; opening: number }>>

function verdict(pod: PolicyPod, { isolating, opening }: Standing[Direction], direction: Direction): string {
  if (opening > 0) return `goto ${namespaceChain(pod.namespace, direction)}`
  if (pod.isolated || isolating > 0) return 'goto refuse'
  return direction === 'egress' ? 'goto open' : 'accept'
}

/** What a Pod adds to the sets of a policy; undefined where it is nothing to it, neither selected nor named. */
export function policyShare(policy: Policy, pod: PolicyPod): { selected: boolean; piece: RulePiece } | undefined {
  if (!says(policy)) return undefined
  const elements: SetElement[] = []
  const selected = selectsPod(policy, pod)
  for (const direction of DIRECTIONS) {
    if (selected && opens(policy, direction) && !selectsAll(policy))
      elements.push({ set: selectedSet(policy, direction), key: pod.ip })
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

/** Whom the policy selects. */
function selectedSet(policy: Policy, direction: Direction): string {
  return `${policyChain(policy, direction)}_s`
}

/** Long enough that nobody finds two namespaces with one name for both. */
function namespaceChain(namespace: string, direction: Direction): string {
  return `n${direction[0]}${createHash('sha256').update(namespace).digest('hex').slice(0, 28)}`
}

/** All Pods of its namespace: who is in the chain of it then need not be looked up. */
function selectsAll({ podSelector }: Policy): boolean {
  return podSelector.weight === 0
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
