/** What is said of a Service that asks for things which are ignored or on their way out. */
import type { Service } from 'kubernetes-types/core/v1.js'
import { cidrWarnings, ipWarnings } from '../ip-address.ts'

export const TOPOLOGY_HINTS = 'service.kubernetes.io/topology-aware-hints'
export const TOPOLOGY_MODE = 'service.kubernetes.io/topology-mode'

/** Warnings of a valid Service, in kube-apiserver's words and order. */
export function serviceWarnings({ metadata, spec = {} }: Service): string[] {
  const warnings: string[] = []
  const say = (when: boolean, what: string): void => {
    if (when) warnings.push(what)
  }
  const headless = spec.type === 'ClusterIP' && spec.clusterIP === 'None'
  const externalName = spec.type === 'ExternalName'
  say(
    Object.hasOwn(metadata?.annotations ?? {}, TOPOLOGY_HINTS),
    `annotation ${TOPOLOGY_HINTS} is deprecated, please use ${TOPOLOGY_MODE} instead`,
  )
  if (spec.clusterIP !== 'None') {
    spec.clusterIPs?.forEach((address, index) => warnings.push(...ipWarnings(address, `spec.clusterIPs[${index}]`)))
  }
  if (headless) {
    say(Boolean(spec.loadBalancerIP), 'spec.loadBalancerIP is ignored for headless services')
    say(Boolean(spec.externalIPs?.length), 'spec.externalIPs is ignored for headless services')
    say(spec.sessionAffinity !== 'None', 'spec.SessionAffinity is ignored for headless services')
  }
  spec.externalIPs?.forEach((address, index) => warnings.push(...ipWarnings(address, `spec.externalIPs[${index}]`)))
  warnings.push(...ipWarnings(spec.loadBalancerIP ?? '', 'spec.loadBalancerIP'))
  spec.loadBalancerSourceRanges?.forEach((range, index) =>
    warnings.push(...cidrWarnings(range, `spec.loadBalancerSourceRanges[${index}]`)),
  )
  say(externalName && Boolean(spec.externalIPs?.length), 'spec.externalIPs is ignored when spec.type is "ExternalName"')
  say(!externalName && Boolean(spec.externalName), 'spec.externalName is ignored when spec.type is not "ExternalName"')
  return warnings
}
