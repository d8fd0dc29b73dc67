import { CLAIM_COLUMNS, FIXED_ONCE_BOUND, fixedOnceBound } from '../claim/crd.ts'
import { type CustomResourceDefinition, extensionsCrd } from '../extensions-crd.ts'
import type { ValidationRule } from '../schema/structural-schema.ts'

const AGE = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }
const STATUS = 'What the canonical object says, and whether it says what this one does.'

let made: CustomResourceDefinition[] | undefined

/** The CustomResourceDefinitions of the flat kinds, as in deploy/crds. */
export function flatCrds(): readonly CustomResourceDefinition[] {
  made ??= [flatTemplateCrd(), flatClaimCrd(), flatPoolCrd()]
  return made
}

function flatTemplateCrd(): CustomResourceDefinition {
  return extensionsCrd({
    schema: 'flat-template',
    kind: 'SandboxTemplate',
    description: 'A SandboxTemplate of extensions.agents.x-k8s.io, in the group of Sandbox.',
    spec: { description: 'What the Sandboxes are like.' },
    statusDescription: STATUS,
    columns: [AGE],
  })
}

function flatClaimCrd(): CustomResourceDefinition {
  const fields = ['warmPoolRef', 'templateRef', 'sandboxTemplateRef', 'warmPoolSelector']
  return extensionsCrd({
    schema: 'flat-claim',
    kind: 'SandboxClaim',
    description: 'A SandboxClaim of extensions.agents.x-k8s.io, in the group of Sandbox and with a ttl.',
    spec: {
      description: 'What is asked for.',
      'x-kubernetes-validations': [
        {
          rule: `[${fields.map((field) => `has(self.${field})`).join(', ')}].filter(given, given).size() == 1`,
          message: 'exactly one of warmPoolRef, templateRef (or sandboxTemplateRef) and warmPoolSelector must be given',
        },
        sameMeaning('ttl', 'lifecycle'),
      ],
    },
    rules: [...FIXED_ONCE_BOUND, 'sandboxTemplateRef'].map(fixedOnceBound),
    statusDescription: STATUS,
    columns: CLAIM_COLUMNS,
  })
}

function flatPoolCrd(): CustomResourceDefinition {
  return extensionsCrd({
    schema: 'flat-pool',
    kind: 'SandboxWarmPool',
    description: 'A SandboxWarmPool of extensions.agents.x-k8s.io, in the group of Sandbox and with words of its own.',
    spec: {
      description: 'How many there should be, and of what.',
      'x-kubernetes-validations': [
        {
          rule: '[has(self.sandboxTemplateRef), has(self.templateRef), has(self.template)].filter(given, given).size() == 1',
          message: 'exactly one of sandboxTemplateRef, templateRef and template must be given',
        },
        sameMeaning('minSize', 'minReplicas'),
        sameMeaning('maxSize', 'maxReplicas'),
        sameMeaning('idleTimeout', 'idleTimeoutSeconds'),
        notAbove('minSize', 'maxSize'),
        notAbove('minReplicas', 'maxReplicas'),
      ],
    },
    statusDescription: STATUS,
    columns: [
      { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
      { name: 'Min', type: 'integer', jsonPath: '.spec.minSize' },
      { name: 'Max', type: 'integer', jsonPath: '.spec.maxSize' },
      AGE,
    ],
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  })
}

function sameMeaning(one: string, other: string): ValidationRule {
  return {
    rule: `!has(self.${one}) || !has(self.${other})`,
    message: `${one} and ${other} say the same: give one of them`,
  }
}

function notAbove(low: string, high: string): ValidationRule {
  return {
    rule: `!has(self.${low}) || !has(self.${high}) || self.${low} <= self.${high}`,
    message: `${low} must not be greater than ${high}`,
  }
}
