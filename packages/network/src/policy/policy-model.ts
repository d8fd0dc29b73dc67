/** What NetworkPolicies say, read once from their objects: the form in which they are decided and compiled. */
import { createHash } from 'node:crypto'
import { type LabelSelector, labelMatcher } from '@caisson/api'
import type { Typed } from '@caisson/client'
import { METADATA_RANGES } from '@caisson/runtime'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from 'kubernetes-types/networking/v1.d.ts'
import { ipv4Range, mergeRanges, type NumberRange, subtractRanges } from './address-range.ts'

export type Direction = 'ingress' | 'egress'

export type Protocol = 'tcp' | 'udp' | 'sctp'

/** A Pod with an address, as policies see it. */
export interface PolicyPod {
  uid: string
  ip: string
  namespace: string
  labels: Readonly<Record<string, string>>
  namespaceLabels: Readonly<Record<string, string>>
  ports: readonly NamedPort[]
  /** It may do nothing but what a policy that selects it opens, as if one that opens nothing selected it. */
  isolated: boolean
  /** It was given other name servers than the cluster's. */
  ownResolvers?: boolean
}

/** A port of a container, by which policies may name it. */
export interface NamedPort {
  name: string
  protocol: Protocol
  port: number
}

/** A selector of labels, read once. */
export interface Selector {
  matches(labels: Readonly<Record<string, string>>): boolean
  /** What it takes to ask it, in the measure of `policy-budget.ts`: its labels, and the values that it has for them. */
  weight: number
}

/** Of looking one label up in a Pod, beside one range or value, which take the kernel or a hash table less. */
export const COMPARISON_WEIGHT = 3

export interface PodSelector {
  /** Of the policy; undefined where `namespaceSelector` says which. */
  namespace: string | undefined
  namespaceSelector: Selector | undefined
  /** The one namespace that it may be; undefined where it may be several. */
  within: string | undefined
  podSelector: Selector | undefined
}

export interface PortRange {
  protocol: Protocol
  ports: NumberRange
}

export interface PolicyRule {
  /** Undefined: everybody. Otherwise whoever one of the selectors selects or one of the ranges holds. */
  peers:
    | {
        selectors: readonly PodSelector[]
        ranges: readonly NumberRange[]
        /** Parts of what clouds serve to their machines: only ranges that lie wholly within it reach it. */
        metadata: readonly NumberRange[]
      }
    | undefined
  /** Undefined: all ports of all protocols. Names are those of the destination's ports. */
  ports: { numbers: readonly PortRange[]; names: readonly { protocol: Protocol; name: string }[] } | undefined
}

export interface Policy {
  /** Names its chains and sets; nobody can choose it. */
  id: string
  namespace: string
  podSelector: Selector
  /** Undefined where the policy does not isolate in that direction. */
  ingress: readonly PolicyRule[] | undefined
  egress: readonly PolicyRule[] | undefined
  /** Why it opens nothing of what it says; undefined where it is as it was written. */
  problem: string | undefined
}

/** What one policy may have, so that no tenant keeps the kernel busy for all. Ranges that a block leaves out count as peers. */
const MOST = { rules: 100, peers: 100, ports: 100 }

/** By it every namespace can be selected. */
export const NAMESPACE_NAME = 'kubernetes.io/metadata.name'
const ALL_PORTS: NumberRange = { from: 0, to: 65_535 }
export const METADATA: readonly NumberRange[] = METADATA_RANGES.flatMap((range) => ipv4Range(range) ?? [])

/** IPv6 ranges are left out: sandboxes have no IPv6. A policy that is too large opens nothing for whom it selects. */
export function readPolicy({ metadata, spec }: Typed<NetworkPolicy>): Policy {
  const namespace = metadata.namespace ?? ''
  const types = spec?.policyTypes ?? (spec?.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'])
  const problem = tooLarge(spec)
  const rules = (direction: Direction): PolicyRule[] => {
    if (problem !== undefined) return []
    return direction === 'ingress'
      ? (spec?.ingress ?? []).map(({ from, ports }) => readRule(namespace, from, ports))
      : (spec?.egress ?? []).map(({ to, ports }) => readRule(namespace, to, ports))
  }
  return {
    id: createHash('sha256')
      .update(metadata.uid ?? `${namespace}/${metadata.name}`)
      .digest('hex')
      .slice(0, 16),
    namespace,
    podSelector: readSelector(spec?.podSelector ?? {}),
    ingress: types.includes('Ingress') ? rules('ingress') : undefined,
    egress: types.includes('Egress') ? rules('egress') : undefined,
    problem,
  }
}

function tooLarge(spec: NetworkPolicy['spec']): string | undefined {
  const rules = [
    ...(spec?.ingress ?? []).map(({ from = [], ports = [] }) => ({ peers: from, ports })),
    ...(spec?.egress ?? []).map(({ to = [], ports = [] }) => ({ peers: to, ports })),
  ]
  if (rules.length > MOST.rules) return `it has ${rules.length} rules, and may have ${MOST.rules}`
  for (const { peers, ports } of rules) {
    const count = peers.reduce((sum, { ipBlock }) => sum + 1 + (ipBlock?.except?.length ?? 0), 0)
    if (count > MOST.peers) return `a rule of it has ${count} peers and exceptions, and may have ${MOST.peers}`
    if (ports.length > MOST.ports) return `a rule of it has ${ports.length} ports, and may have ${MOST.ports}`
  }
  return undefined
}

function readRule(
  namespace: string,
  peers: readonly NetworkPolicyPeer[] = [],
  ports: readonly NetworkPolicyPort[] = [],
): PolicyRule {
  const blocks = peers.flatMap(({ ipBlock }) => {
    const range = ipBlock && ipv4Range(ipBlock.cidr)
    if (!range) return []
    return [
      {
        range,
        left: subtractRanges(
          range,
          (ipBlock.except ?? []).flatMap((cidr) => ipv4Range(cidr) ?? []),
        ),
      },
    ]
  })
  const within = ({ from, to }: NumberRange): boolean => METADATA.some((range) => from >= range.from && to <= range.to)
  const leftOf = (narrow: boolean): NumberRange[] =>
    mergeRanges(blocks.filter(({ range }) => within(range) === narrow).flatMap(({ left }) => left))
  return {
    peers:
      peers.length === 0
        ? undefined
        : {
            selectors: peers.flatMap(({ ipBlock, namespaceSelector, podSelector }) =>
              ipBlock
                ? []
                : [
                    {
                      namespace: namespaceSelector ? undefined : namespace,
                      within: namespaceSelector ? namespaceSelector.matchLabels?.[NAMESPACE_NAME] : namespace,
                      namespaceSelector: namespaceSelector && readSelector(namespaceSelector),
                      podSelector: podSelector && readSelector(podSelector),
                    },
                  ],
            ),
            ranges: leftOf(false),
            metadata: leftOf(true),
          },
    ports: ports.length === 0 ? undefined : readPorts(ports),
  }
}

/** Read when it is first asked: one that is in no policy in force never is. */
function readSelector(written: NonNullable<NetworkPolicyPeer['podSelector']>): Selector {
  const { matchLabels = {}, matchExpressions = [] } = written
  const values = matchExpressions.reduce((sum, each) => sum + (each.values?.length ?? 0), 0)
  let matcher: Selector['matches'] | undefined
  return {
    matches(labels) {
      matcher ??= labelMatcher(written as LabelSelector)
      return matcher(labels)
    },
    weight: COMPARISON_WEIGHT * (Object.keys(matchLabels).length + matchExpressions.length) + values,
  }
}

/** Everybody. */
export const EVERYBODY: Selector = readSelector({})

function readPorts(ports: readonly NetworkPolicyPort[]): NonNullable<PolicyRule['ports']> {
  const numbers = new Map<Protocol, NumberRange[]>()
  const names: { protocol: Protocol; name: string }[] = []
  for (const { protocol: written = 'TCP', port, endPort } of ports) {
    const protocol = written.toLowerCase() as Protocol
    if (typeof port === 'string') names.push({ protocol, name: port })
    else {
      const range = port === undefined ? ALL_PORTS : { from: port, to: endPort ?? port }
      numbers.set(protocol, [...(numbers.get(protocol) ?? []), range])
    }
  }
  return {
    numbers: [...numbers].flatMap(([protocol, ranges]) =>
      mergeRanges(ranges).map((range) => ({ protocol, ports: range })),
    ),
    names,
  }
}

export function selectsPod(policy: Policy, pod: PolicyPod): boolean {
  return policy.namespace === pod.namespace && policy.podSelector.matches(pod.labels)
}

export function selectsPeer({ namespace, namespaceSelector, podSelector }: PodSelector, pod: PolicyPod): boolean {
  if (namespaceSelector ? !namespaceSelector.matches(pod.namespaceLabels) : namespace !== pod.namespace) return false
  return podSelector === undefined || podSelector.matches(pod.labels)
}

/** Not a namespace: stands for all of them. */
export const EVERYWHERE = ''

/** Whether it says anything at all. */
export function says({ ingress, egress }: Pick<Policy, Direction>): boolean {
  return ingress !== undefined || egress !== undefined
}

/** Whether it has rules: one that has none isolates, and has to be asked nothing. */
export function opens(policy: Policy, direction: Direction): boolean {
  return policy[direction] !== undefined && policy[direction].length > 0
}

/** The namespaces whose Pods have to be looked at for what a policy says. */
export function concerns(policy: Policy): ReadonlySet<string> {
  if (!says(policy)) return new Set()
  const { namespace, ingress = [], egress = [] } = policy
  const selectors = [...ingress, ...egress].flatMap(({ peers }) => peers?.selectors ?? [])
  const namesElsewhere = egress.some(({ peers, ports }) => ports?.names.length && (!peers || peers.ranges.length > 0))
  return new Set([
    namespace,
    ...selectors.map(({ within = EVERYWHERE }) => within),
    ...(namesElsewhere ? [EVERYWHERE] : []),
  ])
}

/** Whether the Pod is isolated in a direction: then only what its policies open gets through. */
export function isIsolated(pod: PolicyPod, policies: readonly Policy[], direction: Direction): boolean {
  return pod.isolated || policies.some((policy) => policy[direction] !== undefined && selectsPod(policy, pod))
}

export function portsNamed(pod: PolicyPod, names: readonly { protocol: Protocol; name: string }[]): PortRange[] {
  return pod.ports.flatMap(({ name, protocol, port }) =>
    names.some((wanted) => wanted.name === name && wanted.protocol === protocol)
      ? [{ protocol, ports: { from: port, to: port } }]
      : [],
  )
}
