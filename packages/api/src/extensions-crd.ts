import { AGENTS_GROUP, EXTENSIONS_GROUP } from './keys.ts'
import type { CustomResourceDefinition, CustomResourceVersion } from './sandbox/crd.ts'
import { withCoreTypes } from './schema/core-schema.ts'
import { generatedSchema } from './schema/generated-schema.ts'
import type { StructuralSchema, ValidationRule } from './schema/structural-schema.ts'

export type { CustomResourceDefinition }

interface ExtensionsKind {
  /** Which generated schema. */
  schema: 'template' | 'claim' | 'pool' | 'flat-template' | 'flat-claim' | 'flat-pool'
  kind: string
  /** Left out for the flat kinds, whose names would shadow the canonical ones. */
  shortName?: string
  description: string
  spec: Pick<StructuralSchema, 'description' | 'x-kubernetes-validations'>
  /** Rules that read more than the spec. */
  rules?: readonly ValidationRule[]
  /** Left out for a kind without a status. */
  statusDescription?: string
  columns?: CustomResourceVersion['additionalPrinterColumns']
  scale?: NonNullable<CustomResourceVersion['subresources']>['scale']
}

/**
 * The frame that the definitions of templates, claims and pools have in common: in the extensions group, and without a
 * short name in the group of Sandbox.
 */
export function extensionsCrd(kind: ExtensionsKind): CustomResourceDefinition {
  const [group, version] = kind.shortName ? [EXTENSIONS_GROUP, 'v1beta1'] : [AGENTS_GROUP, 'v1alpha1']
  const name = kind.kind.toLowerCase()
  const { spec, status } = generatedSchema(kind.schema)
  const { statusDescription, columns, scale, rules } = kind
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${name}s.${group}` },
    spec: {
      group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: `${name}s`,
        singular: name,
        ...(kind.shortName && { shortNames: [kind.shortName] }),
      },
      scope: 'Namespaced',
      conversion: { strategy: 'None' },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          ...(columns && { additionalPrinterColumns: columns }),
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: kind.description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: `${group}/${version}.` },
                kind: { type: 'string', description: `${kind.kind}.` },
                metadata: { type: 'object' },
                spec: { ...withCoreTypes(spec), ...kind.spec },
                ...(statusDescription && { status: { ...withCoreTypes(status), description: statusDescription } }),
              },
              ...(rules && { 'x-kubernetes-validations': rules }),
            },
          },
          ...(statusDescription && { subresources: { status: {}, ...(scale && { scale }) } }),
        },
      ],
    },
  }
}
