/** A claim, its pool and a member of that as a server would have stored them, for the tests of this folder. */
import {
  type Condition,
  LABELS,
  nameHash,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '@caisson/api'
import { DEFAULT_LABEL_DOMAINS } from '../blueprint/additional-metadata.ts'
import type { NetworkPolicy } from '../template/network-policy.ts'
import type { ObservedClaim } from './observed-claim.ts'
import { planClaim } from './plan-claim.ts'

export const NOW = Date.parse('2026-01-01T00:01:00Z')
export const OPTIONS = { labelDomains: DEFAULT_LABEL_DOMAINS, observability: true }
export const ready = (status: 'True' | 'False', reason = 'DependenciesReady'): Condition => ({
  type: 'Ready',
  status,
  reason,
  message: 'said',
  observedGeneration: 1,
  lastTransitionTime: '2026-01-01T00:00:30Z',
})

export const claim: SandboxClaim = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxClaim',
  metadata: {
    name: 'mine',
    namespace: 'n',
    uid: 'claim',
    resourceVersion: '1',
    generation: 3,
    creationTimestamp: '2026-01-01T00:00:59Z',
    annotations: { 'agents.x-k8s.io/controller-first-observed-at': 'then' },
  },
  spec: { warmPoolRef: { name: 'pool' } },
}
export const template: SandboxTemplate = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxTemplate',
  metadata: { name: 'web', namespace: 'n', uid: 'template', resourceVersion: '1' },
  spec: {
    podTemplate: { metadata: { labels: { tier: 'web' } }, spec: { containers: [{ name: 'main', image: 'x' }] } },
  },
}
export const policy: NetworkPolicy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: {
    name: 'web-network-policy',
    namespace: 'n',
    uid: 'policy',
    ownerReferences: [
      {
        apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
        kind: 'SandboxTemplate',
        name: 'web',
        uid: 'template',
        controller: true,
      },
    ],
  },
}
const pool: SandboxWarmPool = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxWarmPool',
  metadata: { name: 'pool', namespace: 'n', uid: 'pool', resourceVersion: '1' },
  spec: { sandboxTemplateRef: { name: 'web' } },
}

export const controlledBy = (kind: string, name: string, uid: string) => [
  { apiVersion: 'extensions.agents.x-k8s.io/v1beta1', kind, name, uid, controller: true, blockOwnerDeletion: true },
]
export const member: Sandbox = {
  apiVersion: 'agents.x-k8s.io/v1beta1',
  kind: 'Sandbox',
  metadata: {
    name: 'pool-1',
    namespace: 'n',
    uid: 'member',
    resourceVersion: '7',
    labels: {
      [LABELS.warmPool]: nameHash('pool'),
      [LABELS.templateRefHash]: nameHash('web'),
      [LABELS.templateHash]: 'h',
      [LABELS.podTemplateHash]: 'h',
      [LABELS.launchType]: 'warm',
      [LABELS.createdBy]: 'controller',
    },
    annotations: { 'agents.x-k8s.io/sandbox-template-ref': 'web' },
    ownerReferences: controlledBy('SandboxWarmPool', 'pool', 'pool'),
  },
  spec: {
    podTemplate: {
      metadata: {
        labels: { tier: 'web', [LABELS.warmPool]: nameHash('pool') },
        annotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' },
      },
      spec: { containers: [{ name: 'main', image: 'x' }] },
    },
  },
  status: { podIPs: ['10.0.0.1'], conditions: [ready('True')] },
}
export const tracking = { [LABELS.claimUid]: 'claim', [LABELS.templateRefHash]: nameHash('web') }
/** The member once it is the claim's. */
export const owned: Sandbox = {
  ...member,
  metadata: {
    ...member.metadata,
    labels: { ...tracking, [LABELS.launchType]: 'warm' },
    ownerReferences: controlledBy('SandboxClaim', 'mine', 'claim'),
  },
  spec: { podTemplate: { ...member.spec.podTemplate, metadata: { labels: { tier: 'web', ...tracking } } } },
}
export const foreign: Sandbox = {
  ...owned,
  metadata: { ...owned.metadata, ownerReferences: controlledBy('SandboxClaim', 'other', 'other') },
}

export function observed(changes: Partial<ObservedClaim> = {}): ObservedClaim {
  return {
    claim,
    bound: undefined,
    assigned: undefined,
    assignedPool: pool,
    policyFailure: undefined,
    templateNamesake: undefined,
    legacyPolicy: undefined,
    namesake: undefined,
    pool: { name: 'pool', found: pool },
    template: { name: 'web', found: template },
    policy,
    origin: template,
    offer: { kind: 'none' },
    firstObservedAt: NOW - 0.5,
    crowded: false,
    failures: [],
    ...changes,
  }
}
export const assignedTo = (name: string, more: Partial<SandboxClaim> = {}): SandboxClaim => ({
  ...claim,
  ...more,
  metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, 'agents.x-k8s.io/sandbox-name': name } },
})
export const withSpec = (spec: Partial<SandboxClaim['spec']>): SandboxClaim => ({
  ...claim,
  spec: { ...claim.spec, ...spec },
})
export const plan = (changes: Partial<ObservedClaim> = {}, now = NOW) => planClaim(observed(changes), now, OPTIONS)
export const idsOf = (changes: Partial<ObservedClaim>) => plan(changes).writes.map(({ id }) => id)
