import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { decodeAutoscaler, horizontalPodAutoscalerStrategy } from './horizontal-pod-autoscaler.ts'

function problemsOf(scaleUp: object): string[] | undefined {
  const spec = { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'a' }, maxReplicas: 3 }
  const { object } = decodeAutoscaler({ metadata: { name: 'a' }, spec: { ...spec, behavior: { scaleUp } } })
  horizontalPodAutoscalerStrategy.defaults?.(object as KubeObject)
  return horizontalPodAutoscalerStrategy.validate?.(object as KubeObject).map(({ field }) => field)
}

test('policies that are left out are filled in, and no policies are refused', () => {
  expect(problemsOf({ selectPolicy: 'Min' })).toEqual([])
  expect(problemsOf({ policies: null })).toEqual([])
  expect(problemsOf({ policies: [] })).toEqual(['spec.behavior.scaleUp.policies'])
})
