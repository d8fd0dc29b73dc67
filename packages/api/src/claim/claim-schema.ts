/** The schemas of SandboxClaim; only the type checker and scripts/generate-crds.ts read them. */
import type { ConfigMapKeySelector, SecretKeySelector } from 'kubernetes-types/core/v1.d.ts'
import type { LabelSelector } from 'kubernetes-types/meta/v1.d.ts'
import { z } from 'zod'
import { condition, persistentVolumeClaimTemplate, podMetadata } from '../sandbox/sandbox-schema.ts'
import { coreType, dateTime, integer } from '../schema/zod-to-structural.ts'
import { CLAIM_SHUTDOWN_POLICIES } from './choices.ts'

const lifecycle = z.object({
  shutdownTime: dateTime()
    .exactOptional()
    .meta({ description: 'The moment at which the claim expires. Left out, it does not.' }),
  ttlSecondsAfterFinished: integer('int32')
    .min(0)
    .exactOptional()
    .meta({ description: 'Seconds after which the claim expires once its condition Finished has come true.' }),
  shutdownPolicy: z.enum(CLAIM_SHUTDOWN_POLICIES).default('Retain').meta({
    description:
      'What happens then: Delete removes the claim and its Sandbox, DeleteForeground keeps the claim until the Sandbox is gone, Retain removes the Sandbox alone.',
  }),
})

const valueSource = z
  .object({
    secretKeyRef: coreType<SecretKeySelector>('SecretKeySelector')
      .exactOptional()
      .meta({ description: 'A key of a Secret of the namespace.' }),
    configMapKeyRef: coreType<ConfigMapKeySelector>('ConfigMapKeySelector')
      .exactOptional()
      .meta({ description: 'A key of a ConfigMap of the namespace.' }),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'has(self.secretKeyRef) != has(self.configMapKeyRef)',
        message: 'exactly one of secretKeyRef and configMapKeyRef must be given',
      },
    ],
  })

const envVar = z
  .object({
    name: z.string().meta({ description: 'Name of the variable.' }),
    value: z.string().exactOptional().meta({ description: 'Its value.' }),
    valueFrom: valueSource.exactOptional().meta({ description: 'Where its value comes from, in place of value.' }),
    containerName: z
      .string()
      .exactOptional()
      .meta({ description: "The container that gets it. Left out, the template's first one." }),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'has(self.value) != has(self.valueFrom)',
        message: 'exactly one of value and valueFrom must be given',
      },
    ],
  })

export const claimSpec = z.object({
  warmPoolRef: z
    .object({ name: z.string().meta({ description: 'Name of the SandboxWarmPool.' }) })
    .exactOptional()
    .meta({
      description:
        'The pool of the same namespace that the Sandbox is taken from; where it has none to give, one is made from its template.',
    }),
  templateRef: z
    .object({ name: z.string().meta({ description: 'Name of the SandboxTemplate.' }) })
    .exactOptional()
    .meta({ description: 'The template of the same namespace that a Sandbox is made from, in place of a pool.' }),
  warmPoolSelector: coreType<LabelSelector>('LabelSelector').exactOptional().meta({
    description:
      'Labels of pools of the namespace, in place of one name: the one with the most Sandboxes to give is taken, then the first by name.',
  }),
  lifecycle: lifecycle.exactOptional().meta({ description: 'When and how the claim ends by itself.' }),
  readyDeadlineSeconds: integer('int32').min(1).exactOptional().meta({
    description:
      'Seconds after which a claim that has not been Ready fails for good, with the reason DeadlineExceeded; its Sandbox is deleted. Left out, it waits for ever.',
  }),
  additionalPodMetadata: podMetadata.exactOptional().meta({
    description:
      "Labels and annotations that the Pod gets besides the template's. Label keys need a domain that the administrator allows: sandbox.users.io and what is below it, unless said otherwise.",
  }),
  env: z.array(envVar).exactOptional().meta({
    description:
      'Environment variables of the Sandbox, as far as the template allows. With its envVarsDelivery Warm a member of the pool is given them, for what starts from then on; otherwise the Sandbox is made anew.',
    'x-kubernetes-list-type': 'atomic',
  }),
  volumeClaimTemplates: z.array(persistentVolumeClaimTemplate).exactOptional().meta({
    description:
      "Storage of the Sandbox besides the template's, as far as the template allows. The Sandbox is made anew and not taken from the pool.",
    'x-kubernetes-list-type': 'atomic',
  }),
})

export const claimStatus = z.object({
  conditions: z.array(condition).exactOptional().meta({
    description: "Ready: the Sandbox's own once there is one. Finished: the Sandbox's, while it has it.",
  }),
  sandbox: z
    .object({
      name: z.string().exactOptional().meta({ description: 'Name of the Sandbox that the claim has.' }),
      podIPs: z.array(z.string()).exactOptional().meta({ description: "The Sandbox's addresses while it has a Pod." }),
      serviceFQDN: z
        .string()
        .exactOptional()
        .meta({ description: "The name of the Sandbox's Service within the cluster's DNS." }),
    })
    .exactOptional()
    .meta({ description: 'The Sandbox that the claim has.' }),
})
