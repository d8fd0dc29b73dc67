import type { KubeObject } from '@caisson/api'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from 'kubernetes-types/networking/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { cidrContains, cidrWarnings, validateCidr } from '../ip-address.ts'
import { portName, portNumber } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'

export const networkPolicyStrategy: Strategy = {
  defaults(object) {
    const { spec } = asPolicy(object)
    if (!spec) return
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
    }
  },
  validate: (object) => validatePolicy(asPolicy(object)),
  // kube-apiserver finds each mistake of an updated policy twice: as any policy's, and as an update's.
  validateUpdate(next) {
    const errors = validatePolicy(asPolicy(next))
    return [...errors, ...errors]
  },
  warnings: (object) => policyWarnings(asPolicy(object)),
}

function asPolicy(object: KubeObject): NetworkPolicy {
  return object as unknown as NetworkPolicy
}

function validatePolicy({ spec }: NetworkPolicy): FieldError[] {
  const errors: FieldError[] = []
  validateLabelSelector(spec?.podSelector as LabelSelector | undefined, 'spec.podSelector', errors)
  spec?.ingress?.forEach((rule, index) => {
    validatePorts(rule.ports ?? [], `spec.ingress[${index}].ports`, errors)
    rule.from?.forEach((peer, at) => validatePeer(peer, `spec.ingress[${index}].from[${at}]`, errors))
  })
  spec?.egress?.forEach((rule, index) => {
    validatePorts(rule.ports ?? [], `spec.egress[${index}].ports`, errors)
    rule.to?.forEach((peer, at) => validatePeer(peer, `spec.egress[${index}].to[${at}]`, errors))
  })
  const types = spec?.policyTypes ?? []
  if (types.length > 2) {
    errors.push(invalidValue('spec.policyTypes', types, 'may not specify more than two policyTypes'))
    return errors
  }
  types.forEach((type, index) => {
    if (type === 'Ingress' || type === 'Egress') return
    errors.push(notSupported(`spec.policyTypes[${index}]`, type, ['Ingress', 'Egress']))
  })
  return errors
}

function policyWarnings({ spec }: NetworkPolicy): string[] {
  const ofPeers = (peers: readonly NetworkPolicyPeer[] | undefined, path: string): string[] =>
    (peers ?? []).flatMap(({ ipBlock }, index) => {
      if (!ipBlock) return []
      const at = `${path}[${index}].ipBlock`
      const ranges = ipBlock.except?.flatMap((range, position) => cidrWarnings(range, `${at}.except[${position}]`))
      return [...cidrWarnings(ipBlock.cidr, `${at}.cidr`), ...(ranges ?? [])]
    })
  return [
    ...(spec?.ingress ?? []).flatMap(({ from }, index) => ofPeers(from, `spec.ingress[${index}].from`)),
    ...(spec?.egress ?? []).flatMap(({ to }, index) => ofPeers(to, `spec.egress[${index}].to`)),
  ]
}

function validatePorts(ports: readonly NetworkPolicyPort[], path: string, errors: FieldError[]): void {
  ports.forEach(({ protocol, port, endPort }, index) => {
    const at = `${path}[${index}]`
    if (protocol !== undefined && !['TCP', 'UDP', 'SCTP'].includes(protocol)) {
      errors.push(notSupported(`${at}.protocol`, protocol, ['TCP', 'UDP', 'SCTP']))
    }
    if (port === undefined) {
      if (endPort !== undefined) {
        errors.push(invalidValue(`${at}.endPort`, endPort, 'may not be specified when `port` is not specified'))
      }
    } else if (typeof port === 'number') {
      for (const said of portNumber(port)) errors.push(invalidValue(`${at}.port`, port, said))
      if (endPort === undefined) return
      if (endPort < port) errors.push(invalidValue(`${at}.endPort`, port, 'must be greater than or equal to `port`'))
      for (const said of portNumber(endPort)) errors.push(invalidValue(`${at}.endPort`, endPort, said))
    } else {
      if (endPort !== undefined) {
        errors.push(invalidValue(`${at}.endPort`, endPort, 'may not be specified when `port` is non-numeric'))
      }
      for (const said of portName(port)) errors.push(invalidValue(`${at}.port`, port, said))
    }
  })
}

function validatePeer(peer: NetworkPolicyPeer, path: string, errors: FieldError[]): void {
  const { podSelector, namespaceSelector, ipBlock } = peer
  validateLabelSelector(podSelector as LabelSelector | undefined, `${path}.podSelector`, errors)
  validateLabelSelector(namespaceSelector as LabelSelector | undefined, `${path}.namespaceSelector`, errors)
  if (ipBlock) validateIpBlock(ipBlock, `${path}.ipBlock`, errors)
  if (!podSelector && !namespaceSelector && !ipBlock) errors.push(required(path, 'must specify a peer'))
  else if (ipBlock && (podSelector || namespaceSelector)) {
    errors.push(forbidden(path, 'may not specify both ipBlock and another peer'))
  }
}

function validateIpBlock(block: { cidr: string; except?: string[] }, path: string, errors: FieldError[]): void {
  if (!block.cidr) {
    errors.push(required(`${path}.cidr`))
    return
  }
  const range = validateCidr(block.cidr, `${path}.cidr`, errors)
  if (!range) return
  block.except?.forEach((except, index) => {
    const at = `${path}.except[${index}]`
    const inner = validateCidr(except, at, errors)
    if (inner && (!cidrContains(range, inner.network) || range.prefix >= inner.prefix)) {
      errors.push(invalidValue(at, except, 'must be a strict subset of `cidr`'))
    }
  })
}
