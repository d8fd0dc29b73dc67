/** For tests: what the kernel does with the rules of pieces, as far as policies use them. */
import type { RuleChange, RulePiece } from '@caisson/runtime'
import { METADATA_RANGES } from '@caisson/runtime'
import { contains, ipv4Range, type NumberRange } from '../policy/address-range.ts'

export interface Packet {
  source: string
  destination: string
  protocol: string
  port: number
}

export interface RuleMachine {
  apply(change: RuleChange): void
  /** Whether the first packet of a connection between two sandboxes, or from one to elsewhere, gets through. */
  passes(packet: Packet): boolean
}

const METADATA = METADATA_RANGES.flatMap((range) => ipv4Range(range) ?? [])

export function createRuleMachine(): RuleMachine {
  const pieces = new Map<string, RulePiece>()

  function element(set: string, key: string): { value?: string } | undefined {
    for (const { elements = [] } of pieces.values()) {
      const found = elements.find((each) => each.set === set && each.key === key)
      if (found) return found
    }
    return undefined
  }

  function chainNamed(name: string): readonly string[] {
    for (const { chains = [] } of pieces.values()) {
      const found = chains.find((chain) => chain.name === name)
      if (found) return found.rules
    }
    throw new Error(`there is no chain ${name}`)
  }

  function verdict(text: string, packet: Packet): 'accept' | 'refuse' | undefined {
    const [word, name = ''] = text.split(' ')
    if (word === 'accept') return 'accept'
    if (name === 'refuse') return 'refuse'
    if (name === 'open') return contains(METADATA, ipv4Range(packet.destination)?.from ?? -1) ? 'refuse' : 'accept'
    for (const rule of chainNamed(name)) {
      const found = matching(rule, packet)
      const result = found === undefined ? undefined : verdict(found, packet)
      if (result) return result
    }
    // A chain that was gone to, not jumped to, has to decide.
    if (word === 'goto') throw new Error(`${name} does not decide`)
    return undefined
  }

  /** The verdict of a rule whose every condition holds. */
  function matching(rule: string, packet: Packet): string | undefined {
    let left = rule
    for (;;) {
      const match =
        /^(ip [sd]addr|meta l4proto \. th dport|ip daddr \. meta l4proto \. th dport) (!= )?(@\w+|\{[^}]*\}) /.exec(
          left,
        )
      if (!match) return left
      const [whole, field = '', negated, set = ''] = match
      if (holds(field, set, packet) === (negated !== undefined)) return undefined
      left = left.slice(whole.length)
    }
  }

  function holds(field: string, set: string, packet: Packet): boolean {
    const { source, destination, protocol, port } = packet
    const address = field.startsWith('ip saddr') ? source : destination
    if (set === '@metadata') return contains(METADATA, ipv4Range(address)?.from ?? -1)
    const value = field.includes('th dport')
      ? `${field.startsWith('ip') ? `${address} . ` : ''}${protocol} . ${port}`
      : address
    if (set.startsWith('@')) return element(set.slice(1), value) !== undefined
    return set
      .slice(2, -2)
      .split(', ')
      .some((each) => {
        const [range = '', name] = each.split(' . ').reverse()
        if (name !== undefined && name !== protocol) return false
        const [from = '', to = from] = range.split('-')
        const at = name === undefined ? addressRange(from, to) : { from: Number(from), to: Number(to) }
        return contains([at], name === undefined ? (ipv4Range(address)?.from ?? -1) : port)
      })
  }

  return {
    apply(change) {
      for (const [key, piece] of change) {
        if (piece) pieces.set(key, piece)
        else pieces.delete(key)
      }
    },
    passes(packet) {
      const { source, destination } = packet
      if (element('hairpin', `${source} . ${destination}`)) return true
      for (const [set, address] of [
        ['egress', source],
        ['ingress', destination],
      ] as const) {
        const found = element(set, address)
        // Elsewhere is nobody's to decide about.
        if (!found && set === 'ingress' && !element('hairpin', `${address} . ${address}`)) continue
        if (!found || verdict(found.value ?? '', packet) !== 'accept') return false
      }
      return true
    },
  }
}

function addressRange(from: string, to: string): NumberRange {
  return { from: ipv4Range(from)?.from ?? 0, to: ipv4Range(to)?.from ?? -1 }
}
