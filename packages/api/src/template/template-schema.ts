/** The schema of SandboxTemplate; only the type checker and scripts/generate-crds.ts read it. */
import type { NetworkPolicyEgressRule, NetworkPolicyIngressRule } from 'kubernetes-types/networking/v1.d.ts'
import { z } from 'zod'
import { fromSnapshot, idleSuspension, sandboxBlueprint, suspension } from '../sandbox/sandbox-schema.ts'
import { coreType } from '../schema/zod-to-structural.ts'
import { ENV_DELIVERIES, INJECTION_POLICIES, NETWORK_POLICY_MANAGEMENTS } from './choices.ts'

const networkPolicy = z.object({
  ingress: z
    .array(coreType<NetworkPolicyIngressRule>('NetworkPolicyIngressRule'))
    .exactOptional()
    .meta({ description: 'What may connect to the Pods. Empty: nothing may.' }),
  egress: z
    .array(coreType<NetworkPolicyEgressRule>('NetworkPolicyEgressRule'))
    .exactOptional()
    .meta({ description: 'What the Pods may connect to. Empty: nothing.' }),
})

const objectNames = z.array(z.string().min(1).max(253)).max(64)

const envVarsSources = z.object({
  secrets: objectNames.exactOptional().meta({ description: 'Names of Secrets.', 'x-kubernetes-list-type': 'atomic' }),
  configMaps: objectNames
    .exactOptional()
    .meta({ description: 'Names of ConfigMaps.', 'x-kubernetes-list-type': 'atomic' }),
})

export const templateSpec = sandboxBlueprint.extend({
  networkPolicy: networkPolicy.exactOptional().meta({
    description:
      'Rules of the one NetworkPolicy that all Pods of this template share. Left out, only the router may connect to them, and they reach the internet but no private address, which includes the DNS of the cluster.',
  }),
  networkPolicyManagement: z.enum(NETWORK_POLICY_MANAGEMENTS).default('Managed').meta({
    description: 'Managed keeps that NetworkPolicy; Unmanaged makes none and ignores networkPolicy.',
  }),
  envVarsInjectionPolicy: z.enum(INJECTION_POLICIES).default('Disallowed').meta({
    description:
      'Whether claims may set environment variables: not at all, only ones that the template does not have, or any.',
  }),
  envVarsSources: envVarsSources.exactOptional().meta({
    description:
      'The Secrets and ConfigMaps of the namespace whose keys the variables of claims may refer to with valueFrom. Left out, none: who may create claims need not be one who may read them.',
  }),
  volumeClaimTemplatesPolicy: z.enum(INJECTION_POLICIES).default('Disallowed').meta({
    description: 'Whether claims may add volumeClaimTemplates: not at all, only under new names, or any.',
  }),
  envVarsDelivery: z.enum(ENV_DELIVERIES).default('ColdStart').meta({
    description:
      'How a claim with environment variables gets them. ColdStart makes a new Pod that has them. Warm gives them to a member of the pool: what is started in it from then on has them, what ran before has not.',
  }),
  fromSnapshot,
  suspension: suspension.exactOptional().meta({ description: 'How Sandboxes of this template are suspended.' }),
  idleSuspension: idleSuspension.exactOptional().meta({
    description: 'When Sandboxes of this template are suspended by themselves, once they have left their pool.',
  }),
})
