import { expect, test } from 'vitest'
import { serviceWarnings } from './service-warnings.ts'

test('a headless Service is told what nobody balances', () => {
  const spec = { type: 'ClusterIP', clusterIP: 'None', sessionAffinity: 'ClientIP', externalIPs: ['192.0.2.1'] }
  expect(serviceWarnings({ spec })).toEqual([
    'spec.externalIPs is ignored for headless services',
    'spec.SessionAffinity is ignored for headless services',
  ])
})

test('names and addresses that the type does not use', () => {
  expect(
    serviceWarnings({ spec: { type: 'ExternalName', externalName: 'a.example', externalIPs: ['192.0.2.1'] } }),
  ).toEqual(['spec.externalIPs is ignored when spec.type is "ExternalName"'])
  const plain = { type: 'ClusterIP', clusterIP: '10.96.0.9', sessionAffinity: 'None', externalName: 'a.example' }
  expect(serviceWarnings({ spec: plain })).toEqual([
    'spec.externalName is ignored when spec.type is not "ExternalName"',
  ])
})

test('the old annotation of topology', () => {
  const metadata = { annotations: { 'service.kubernetes.io/topology-aware-hints': 'auto' } }
  expect(serviceWarnings({ metadata, spec: { type: 'ClusterIP' } })).toEqual([
    'annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead',
  ])
})

test('addresses that are hardly written as they should be, after what the kind of Service ignores', () => {
  const spec = {
    type: 'LoadBalancer',
    clusterIP: '10.96.0.09',
    clusterIPs: ['10.96.0.09'],
    sessionAffinity: 'None',
    externalIPs: ['192.0.2.1', '192.0.02.1'],
    loadBalancerIP: '::ffff:192.0.2.1',
    loadBalancerSourceRanges: [' 10.0.0.1/8', '10.0.0.1/8'],
  }
  const discouraged = 'will be considered invalid in a future Kubernetes release'
  expect(serviceWarnings({ spec })).toEqual([
    `spec.clusterIPs[0]: non-standard IP address "10.96.0.09" ${discouraged}: use "10.96.0.9"`,
    `spec.externalIPs[1]: non-standard IP address "192.0.02.1" ${discouraged}: use "192.0.2.1"`,
    `spec.loadBalancerIP: non-standard IP address "::ffff:192.0.2.1" ${discouraged}: use "192.0.2.1"`,
    'spec.loadBalancerSourceRanges[1]: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
  ])
})
