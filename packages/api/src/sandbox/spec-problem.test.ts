import { expect, test } from 'vitest'
import { sandboxSpecProblem } from './spec-problem.ts'

const podTemplate = { spec: { containers: [{ name: 'main', image: 'x' }] } }

test.each<[spec: unknown, problem: string | undefined]>([
  [{ podTemplate }, undefined],
  [{ podTemplate, replicas: 0, operatingMode: 'Suspended', unknown: 1 }, undefined],
  [undefined, 'spec: Required value'],
  ['text', 'spec: Required value'],
  [{}, 'spec.podTemplate: Required value'],
  [{ podTemplate: {} }, 'spec.podTemplate.spec: Required value'],
  [{ podTemplate: { spec: {} } }, 'spec.podTemplate.spec.containers: Required value'],
  [
    { podTemplate: { spec: { containers: [null] } } },
    'spec.podTemplate.spec.containers[0]: Invalid value: must be of type object, is null',
  ],
  [
    { podTemplate: { spec: { containers: [{ ports: 'all' }] } } },
    'spec.podTemplate.spec.containers[0].ports: Invalid value: must be of type array, is string',
  ],
  [{ podTemplate, replicas: null }, 'spec.replicas: Invalid value: must be of type integer, is null'],
  [{ podTemplate, replicas: -1 }, 'spec.replicas: Invalid value: -1: must be at least 0'],
  [{ podTemplate: { spec: { containers: [{ ports: null }], initContainers: null, volumes: null } } }, undefined],
  [
    { podTemplate: { spec: { containers: [], volumes: [{}] } } },
    'spec.podTemplate.spec.volumes[0].name: Required value',
  ],
  [{ podTemplate, replicas: 2 }, 'spec.replicas: Invalid value: 2: must be at most 1'],
  [
    { podTemplate, operatingMode: 'Off' },
    'spec.operatingMode: Unsupported value: "Off": supported values: "Running", "Suspended"',
  ],
  [
    { podTemplate: { ...podTemplate, metadata: { labels: { app: 1 } } } },
    'spec.podTemplate.metadata.labels.app: Invalid value: must be of type string, is number',
  ],
  [
    { podTemplate, volumeClaimTemplates: {} },
    'spec.volumeClaimTemplates: Invalid value: must be of type array, is object',
  ],
])('%j: %s', (spec, problem) => {
  expect(sandboxSpecProblem(spec)).toBe(problem)
  expect(sandboxSpecProblem(Object.isFrozen(spec) ? spec : Object.freeze(structuredClone(spec)))).toBe(problem)
})
