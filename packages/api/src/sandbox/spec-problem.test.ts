import { expect, test } from 'vitest'
import { sandboxSpecProblem } from './spec-problem.ts'

const podTemplate = { spec: { containers: [{ name: 'main', image: 'x' }] } }

test.each<[spec: unknown, problem: string | undefined]>([
  [{ podTemplate }, undefined],
  [{ podTemplate, replicas: 0, operatingMode: 'Suspended', unknown: 1 }, undefined],
  [undefined, 'spec: Required value'],
  ['text', 'spec: Required value'],
  [{}, 'spec.podTemplate: Invalid input: expected object, received undefined'],
  [{ podTemplate: {} }, 'spec.podTemplate.spec: Invalid input'],
  [
    { podTemplate: { spec: {} } },
    'spec.podTemplate.spec.containers: Invalid input: expected array, received undefined',
  ],
  [
    { podTemplate: { spec: { containers: [null] } } },
    'spec.podTemplate.spec.containers.0: Invalid input: expected object, received null',
  ],
  [
    { podTemplate: { spec: { containers: [{ ports: 'all' }] } } },
    'spec.podTemplate.spec.containers.0.ports: Invalid input: expected array, received string',
  ],
  [{ podTemplate, replicas: 2 }, 'spec.replicas: Too big: expected number to be <=1'],
  [{ podTemplate, operatingMode: 'Off' }, 'spec.operatingMode: Invalid option: expected one of "Running"|"Suspended"'],
  [
    { podTemplate: { ...podTemplate, metadata: { labels: { app: 1 } } } },
    'spec.podTemplate.metadata.labels.app: Invalid input: expected string, received number',
  ],
  [
    { podTemplate, volumeClaimTemplates: {} },
    'spec.volumeClaimTemplates: Invalid input: expected array, received object',
  ],
])('%j: %s', (spec, problem) => {
  expect(sandboxSpecProblem(spec)).toBe(problem)
  expect(sandboxSpecProblem(Object.isFrozen(spec) ? spec : Object.freeze(structuredClone(spec)))).toBe(problem)
})
