/** The schemas of SandboxWarmPool; only the type checker and scripts/generate-crds.ts read them. */
import { z } from 'zod'
import { condition } from '../sandbox/sandbox-schema.ts'
import { integer, intOrPercent } from '../schema/zod-to-structural.ts'
import { UPDATE_STRATEGIES } from './choices.ts'

const count = () => integer('int32').min(0)

const rollingUpdate = z.object({
  maxSurge: intOrPercent().exactOptional().meta({
    description:
      'How many members there may be beyond the wanted ones, as a number or in percent, rounded up. 25% unless said.',
  }),
  maxUnavailable: intOrPercent().exactOptional().meta({
    description:
      'How many of the wanted members may be missing or not Ready, as a number or in percent, rounded down. 0 unless said.',
  }),
})

const updateStrategy = z.object({
  type: z.enum(UPDATE_STRATEGIES).default('OnReplenish').meta({
    description:
      'What becomes of unclaimed members when the template changes: Recreate deletes them at once, OnReplenish leaves them until they are claimed, RollingUpdate replaces them in steps.',
  }),
  rollingUpdate: rollingUpdate.exactOptional().meta({ description: 'The steps of RollingUpdate.' }),
})

export const poolSpec = z.object({
  replicas: count().default(1).meta({
    description:
      'How many unclaimed Sandboxes are kept. With minReplicas or maxReplicas the controller decides itself.',
  }),
  sandboxTemplateRef: z
    .object({ name: z.string().meta({ description: 'Name of the SandboxTemplate.' }) })
    .meta({ description: 'The template of the same namespace that members are made from.' }),
  updateStrategy: updateStrategy
    .exactOptional()
    .meta({ description: 'What becomes of members when the template changes.' }),
  readinessGracePeriodSeconds: integer('int32').min(30).exactOptional().meta({
    description: 'Seconds that a member may take to become Ready before it is replaced.',
  }),
  minReplicas: count().exactOptional().meta({ description: 'How few members there are without demand.' }),
  maxReplicas: count().exactOptional().meta({ description: 'How many members there may be under demand.' }),
  idleTimeoutSeconds: integer('int32')
    .min(1)
    .exactOptional()
    .meta({ description: 'Seconds without a claim after which the pool shrinks towards minReplicas.' }),
})

export const poolStatus = z.object({
  replicas: integer('int32').exactOptional().meta({ description: 'How many members there are.' }),
  readyReplicas: integer('int32').exactOptional().meta({ description: 'How many of them are Ready.' }),
  selector: z.string().exactOptional().meta({ description: 'Label selector that finds the Pods of the members.' }),
  observedGeneration: integer('int64')
    .min(0)
    .exactOptional()
    .meta({ description: 'The metadata.generation that the status was computed from.' }),
  updatedReplicas: integer('int32')
    .exactOptional()
    .meta({ description: 'How many members are made from the template as it is now.' }),
  conditions: z
    .array(condition)
    .exactOptional()
    .meta({ description: 'Ready, Progressing and Degraded, each with its reason.' }),
})
