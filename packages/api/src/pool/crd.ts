import { type CustomResourceDefinition, extensionsCrd } from '../extensions-crd.ts'

let made: CustomResourceDefinition | undefined

/** The CustomResourceDefinition of SandboxWarmPool, as in deploy/crds. */
export function poolCrd(): CustomResourceDefinition {
  made ??= extensionsCrd({
    schema: 'pool',
    kind: 'SandboxWarmPool',
    shortName: 'swp',
    description: 'Sandboxes that are ready before anybody asks for them.',
    spec: {
      description: 'How many there should be, and of what.',
      'x-kubernetes-validations': [
        {
          rule: '!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas',
          message: 'minReplicas must not be greater than maxReplicas',
        },
      ],
    },
    statusDescription: 'What there is, as the controller last saw it.',
    columns: [
      { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
      { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas' },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  })
  return made
}
