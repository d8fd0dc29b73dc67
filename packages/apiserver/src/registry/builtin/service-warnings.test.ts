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
