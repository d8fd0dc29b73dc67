import type { CustomResourceDefinition } from '../sandbox/crd.ts'
import { withCoreTypes } from '../schema/core-schema.ts'
import { generatedSchema } from '../schema/generated-schema.ts'

const READY = ".status.conditions[?(@.type=='Ready')]"

const COLUMNS = [
  { name: 'Sandbox', type: 'string', jsonPath: '.spec.sandboxName' },
  { name: 'Ready', type: 'string', jsonPath: `${READY}.status` },
  { name: 'Reason', type: 'string', jsonPath: `${READY}.reason` },
  { name: 'Bytes', type: 'integer', jsonPath: '.status.sizeBytes' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Node', type: 'string', jsonPath: '.status.nodeName', priority: 1 },
  { name: 'Image', type: 'string', jsonPath: '.status.image', priority: 1 },
  { name: 'Runtime', type: 'string', jsonPath: '.status.runtimeVersion', priority: 1 },
]

let made: CustomResourceDefinition | undefined

/** The CustomResourceDefinition of SandboxSnapshot, as in deploy/crds. */
export function snapshotCrd(): CustomResourceDefinition {
  made ??= {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'sandboxsnapshots.caisson.dev' },
    spec: {
      group: 'caisson.dev',
      names: {
        kind: 'SandboxSnapshot',
        listKind: 'SandboxSnapshotList',
        plural: 'sandboxsnapshots',
        singular: 'sandboxsnapshot',
        shortNames: ['snapshot'],
      },
      scope: 'Namespaced',
      conversion: { strategy: 'None' },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: 'Memory, processes and writable files of a running Sandbox, from which others can go on.',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'caisson.dev/v1alpha1.' },
                kind: { type: 'string', description: 'SandboxSnapshot.' },
                metadata: { type: 'object' },
                spec: {
                  ...withCoreTypes(generatedSchema('snapshot').spec),
                  description: 'What is to be kept.',
                  'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'spec is immutable' }],
                },
                status: {
                  ...withCoreTypes(generatedSchema('snapshot').status),
                  description: 'What was kept, and where.',
                },
              },
            },
          },
          subresources: { status: {} },
        },
      ],
    },
  }
  return made
}
