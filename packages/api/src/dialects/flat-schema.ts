/** The schemas of the flat kinds; only the type checker and scripts/generate-crds.ts read them. */
import { z } from 'zod'
import { claimSpec, claimStatus } from '../claim/claim-schema.ts'
import { poolSpec, poolStatus } from '../pool/pool-schema.ts'
import { condition } from '../sandbox/sandbox-schema.ts'
import { integer } from '../schema/zod-to-structural.ts'
import { templateSpec } from '../template/template-schema.ts'

const GO_DURATION = {
  rule: "self.matches('^[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$')",
  message: 'must be a duration such as 90s, 10m or 1h30m',
}

const duration = () =>
  z
    .string()
    .max(100)
    .meta({ 'x-kubernetes-validations': [GO_DURATION] })

const count = () => integer('int32').min(0)
const reference = (description: string) => z.object({ name: z.string().meta({ description }) })

const canonical = z
  .object({
    uid: z.string().meta({ description: 'Its UID.' }),
    generation: integer('int64').meta({ description: 'Its generation when both last said the same.' }),
    fromGeneration: integer('int64').meta({ description: "This object's generation at that moment." }),
  })
  .exactOptional()

const observed = {
  observedGeneration: integer('int64')
    .min(0)
    .exactOptional()
    .meta({ description: 'The metadata.generation that the status was computed from.' }),
  canonical: canonical.meta({ description: 'The object of extensions.agents.x-k8s.io that stands for this one.' }),
}

export const flatTemplateSpec = templateSpec

export const flatTemplateStatus = z.object({
  conditions: z.array(condition).exactOptional().meta({
    description: 'caisson.dev/Translated: whether the canonical object says what this one says.',
  }),
  ...observed,
})

export const flatClaimSpec = claimSpec.extend({
  ttl: duration().exactOptional().meta({
    description:
      'How long after its creation the claim ends, with its Sandbox: lifecycle.shutdownTime and shutdownPolicy Delete.',
  }),
  sandboxTemplateRef: reference('Name of the SandboxTemplate.')
    .exactOptional()
    .meta({ description: 'Another word for templateRef.' }),
})

export const flatClaimStatus = claimStatus.extend(observed)

export const flatPoolSpec = poolSpec.omit({ replicas: true, sandboxTemplateRef: true }).extend({
  replicas: count()
    .exactOptional()
    .meta({ description: 'How many unclaimed Sandboxes are kept; 1 unless said. Without meaning beside minSize.' }),
  minSize: count().exactOptional().meta({ description: 'How few members there are without demand: minReplicas.' }),
  maxSize: count().exactOptional().meta({ description: 'How many members there may be under demand: maxReplicas.' }),
  idleTimeout: duration().exactOptional().meta({
    description: 'How long without a claim until the pool shrinks towards minSize: idleTimeoutSeconds, rounded up.',
  }),
  sandboxTemplateRef: reference('Name of the SandboxTemplate.')
    .exactOptional()
    .meta({ description: 'The template of the same namespace that members are made from.' }),
  templateRef: reference('Name of the SandboxTemplate.')
    .exactOptional()
    .meta({ description: 'Another word for sandboxTemplateRef.' }),
  template: z
    .custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null)
    .exactOptional()
    .meta({
      type: 'object',
      description:
        'In place of a reference, the template itself: a SandboxTemplate (spec.podTemplate), its spec (podTemplate), or a Pod template (spec.containers). It becomes a SandboxTemplate with the name of the pool.',
      'x-kubernetes-preserve-unknown-fields': true,
    }),
})

export const flatPoolStatus = poolStatus.extend({
  ...observed,
  canonicalTemplate: canonical.meta({ description: 'The SandboxTemplate that was made from spec.template.' }),
})
