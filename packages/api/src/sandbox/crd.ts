import type { KubeObject } from '../object.ts'
import { withCoreTypes } from '../schema/core-schema.ts'
import { generatedSchema } from '../schema/generated-schema.ts'
import type { StructuralSchema } from '../schema/structural-schema.ts'

/** `apiextensions.k8s.io/v1` CustomResourceDefinition, as far as we write it. */
export interface CustomResourceDefinition extends KubeObject {
  kind: 'CustomResourceDefinition'
  spec: {
    group: string
    names: { kind: string; listKind: string; plural: string; singular: string; shortNames?: string[] }
    scope: 'Namespaced' | 'Cluster'
    conversion: { strategy: 'None' }
    versions: CustomResourceVersion[]
  }
}

export interface CustomResourceVersion {
  name: string
  served: boolean
  storage: boolean
  additionalPrinterColumns?: { name: string; type: string; jsonPath: string; priority?: number }[]
  schema: { openAPIV3Schema: StructuralSchema }
  subresources?: {
    status: Record<string, never>
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string }
  }
}

const COLUMNS = [
  { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
  { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
]

let made: CustomResourceDefinition | undefined

/**
 * The CustomResourceDefinition of Sandbox, as in deploy/crds. v1alpha1 and v1beta1 share one schema, so that no field of
 * either is pruned when it is written through the other.
 */
export function sandboxCrd(): CustomResourceDefinition {
  made ??= build()
  return made
}

function build(): CustomResourceDefinition {
  const schema = { openAPIV3Schema: sandboxSchema() }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'sandboxes.agents.x-k8s.io' },
    spec: {
      group: 'agents.x-k8s.io',
      names: {
        kind: 'Sandbox',
        listKind: 'SandboxList',
        plural: 'sandboxes',
        singular: 'sandbox',
        shortNames: ['sandbox'],
      },
      scope: 'Namespaced',
      conversion: { strategy: 'None' },
      versions: [
        {
          name: 'v1beta1',
          served: true,
          storage: true,
          additionalPrinterColumns: COLUMNS,
          schema,
          subresources: { status: {} },
        },
        {
          name: 'v1alpha1',
          served: true,
          storage: false,
          additionalPrinterColumns: COLUMNS,
          schema,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
        },
      ],
    },
  }
}

function sandboxSchema(): StructuralSchema {
  const { spec, status } = generatedSchema('sandbox')
  return {
    type: 'object',
    description: 'A Pod with a stable name and storage, isolated, that can be suspended, resumed and given an end.',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'agents.x-k8s.io/v1beta1, or v1alpha1.' },
      kind: { type: 'string', description: 'Sandbox.' },
      metadata: { type: 'object' },
      spec: {
        ...withCoreTypes(spec),
        description: 'What the Sandbox should be.',
        'x-kubernetes-validations': [
          {
            rule: 'has(self.volumeClaimTemplates) == has(oldSelf.volumeClaimTemplates) && (!has(self.volumeClaimTemplates) || self.volumeClaimTemplates == oldSelf.volumeClaimTemplates)',
            message: 'volumeClaimTemplates is immutable',
          },
          {
            rule: 'has(self.fromSnapshot) == has(oldSelf.fromSnapshot) && (!has(self.fromSnapshot) || self.fromSnapshot == oldSelf.fromSnapshot)',
            message: 'fromSnapshot is immutable',
          },
        ],
      },
      status: { ...withCoreTypes(status), description: 'What the Sandbox is, as the controller last saw it.' },
    },
    // The Service is called like the Sandbox, and a Service's name is a DNS label. At the root because only there can a
    // rule read metadata.name.
    'x-kubernetes-validations': [
      {
        rule: '!has(self.spec.service) || !self.spec.service || size(self.metadata.name) <= 63',
        message: 'metadata.name must have at most 63 characters when spec.service is true',
      },
    ],
  }
}
