import { type CustomResourceDefinition, extensionsCrd } from '../extensions-crd.ts'
import type { ValidationRule } from '../schema/structural-schema.ts'

const READY = ".status.conditions[?(@.type=='Ready')]"

/** What a claim that has its Sandbox cannot change any more: it would say something that is not so. */
export const FIXED_ONCE_BOUND: readonly string[] = [
  'warmPoolRef',
  'templateRef',
  'warmPoolSelector',
  'env',
  'volumeClaimTemplates',
]

export const CLAIM_COLUMNS = [
  { name: 'Ready', type: 'string', jsonPath: `${READY}.status` },
  { name: 'Sandbox', type: 'string', jsonPath: '.status.sandbox.name' },
  { name: 'Reason', type: 'string', jsonPath: `${READY}.reason` },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
]

let made: CustomResourceDefinition | undefined

/** The CustomResourceDefinition of SandboxClaim, as in deploy/crds. */
export function claimCrd(): CustomResourceDefinition {
  made ??= extensionsCrd({
    schema: 'claim',
    kind: 'SandboxClaim',
    shortName: 'sandboxclaim',
    description: 'Asks for a Sandbox, out of a pool or made from a template.',
    spec: {
      description: 'What is asked for.',
      'x-kubernetes-validations': [
        {
          rule: '[has(self.warmPoolRef), has(self.templateRef), has(self.warmPoolSelector)].filter(given, given).size() == 1',
          message: 'exactly one of warmPoolRef, templateRef and warmPoolSelector must be given',
        },
      ],
    },
    // At the root because only there can a rule read the status.
    rules: FIXED_ONCE_BOUND.map(fixedOnceBound),
    statusDescription: 'What was found, as the controller last saw it.',
    columns: CLAIM_COLUMNS,
  })
  return made
}

export function fixedOnceBound(field: string): ValidationRule {
  const [now, before] = [`self.spec.${field}`, `oldSelf.spec.${field}`]
  return {
    rule: `!has(oldSelf.status) || !has(oldSelf.status.sandbox) || !has(oldSelf.status.sandbox.name) || oldSelf.status.sandbox.name == '' || (has(${now}) == has(${before}) && (!has(${now}) || ${now} == ${before}))`,
    message: `spec.${field} is immutable once the claim has its Sandbox`,
  }
}
