/** A pool with members as a server would have stored them, for the tests of this folder. */
import {
  type Condition,
  type ConditionState,
  LABELS,
  nameHash,
  type ObjectMeta,
  type Sandbox,
  type SandboxTemplate,
  type SandboxWarmPool,
  type SandboxWarmPoolStatus,
} from '@caisson/api'
import { versionOf } from '../blueprint/sandbox-spec.ts'
import type { Plan } from '../engine/plan.ts'
import { type NetworkPolicy, networkPolicySpec } from '../template/network-policy.ts'
import type { ObservedPool } from './observed-pool.ts'
import { type PoolPlanOptions, planPool } from './plan-pool.ts'

export const NOW = Date.parse('2026-01-01T12:00:00Z')
const OPTIONS: PoolPlanOptions = { maxBatchSize: 300, readinessGracePeriod: 300_000, evictable: true }
const EXTENSIONS = 'extensions.agents.x-k8s.io/v1beta1'

export function aPool(spec: Partial<SandboxWarmPool['spec']> = {}, status?: SandboxWarmPoolStatus): SandboxWarmPool {
  return {
    apiVersion: EXTENSIONS,
    kind: 'SandboxWarmPool',
    metadata: { name: 'pool', namespace: 'ns', uid: 'pool-uid', resourceVersion: '1', generation: 2 },
    spec: { replicas: 3, sandboxTemplateRef: { name: 'web' }, ...spec },
    ...(status && { status }),
  }
}

/** @param version of the image: what tells one template from the next */
export function aTemplate(version = 1, spec: Partial<SandboxTemplate['spec']> = {}): SandboxTemplate {
  return {
    apiVersion: EXTENSIONS,
    kind: 'SandboxTemplate',
    metadata: { name: 'web', namespace: 'ns', uid: 'template-uid', resourceVersion: '2' },
    spec: { podTemplate: { spec: { containers: [{ name: 'main', image: `web:${version}` }] } }, ...spec },
  }
}

export function aPolicy(template: SandboxTemplate, owner = template.metadata.uid ?? ''): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: 'web-network-policy',
      namespace: 'ns',
      ownerReferences: [{ apiVersion: EXTENSIONS, kind: 'SandboxTemplate', name: 'web', uid: owner, controller: true }],
    },
    spec: networkPolicySpec(template),
  }
}

export interface MemberOptions {
  template?: SandboxTemplate
  ready?: boolean
  /** Seconds since it was made; 60 unless said. */
  age?: number
  conditions?: readonly ConditionState[]
  /** UID of what controls it; the pool unless said, nobody where it is null. */
  owner?: string | null
  metadata?: ObjectMeta
}

export function aMember(name: string, options: MemberOptions = {}): Sandbox {
  const { template = aTemplate(), ready = true, age = 60, conditions, owner = 'pool-uid', metadata } = options
  const { hash, spec } = versionOf(template)
  const lastTransitionTime = at(age)
  const said = conditions ?? [
    {
      type: 'Ready',
      status: ready ? 'True' : 'False',
      reason: ready ? 'DependenciesReady' : 'DependenciesNotReady',
      message: '',
    },
  ]
  return {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: {
      name,
      namespace: 'ns',
      uid: `${name}-uid`,
      resourceVersion: '10',
      creationTimestamp: at(age),
      labels: {
        [LABELS.warmPool]: nameHash('pool'),
        [LABELS.templateRefHash]: nameHash(template.metadata.name ?? ''),
        [LABELS.templateHash]: hash,
      },
      ...(owner !== null && {
        ownerReferences: [
          { apiVersion: EXTENSIONS, kind: 'SandboxWarmPool', name: 'pool', uid: owner, controller: true },
        ],
      }),
      ...metadata,
    },
    spec,
    status: { conditions: said.map((condition) => ({ lastTransitionTime, ...condition }) as Condition) },
  }
}

/** What the Pod of a member says that finds no node, and of one that is not to be given a node yet. */
export const unschedulable = {
  type: 'PodScheduled',
  status: 'False',
  reason: 'Unschedulable',
  message: 'no room',
} as const
export const gated = { ...unschedulable, reason: 'SchedulingGated' } as const

export function notReady(reason: string, message = '', others: readonly ConditionState[] = []): ConditionState[] {
  return [{ type: 'Ready', status: 'False', reason, message }, ...others]
}

function at(age: number): string {
  return new Date(NOW - age * 1000).toISOString().replace('.000Z', 'Z')
}

/** Three Ready members: as many as the pool wants unless said. */
export const three = [aMember('a'), aMember('b'), aMember('c')]

export function observe(changes: Partial<ObservedPool> & { members?: readonly Sandbox[] } = {}): ObservedPool {
  const { members = [], ...rest } = changes
  const template = 'template' in changes ? changes.template : aTemplate()
  return {
    pool: aPool(),
    template,
    policy: template && aPolicy(template),
    templateNamesake: undefined,
    policyFailure: undefined,
    namesake: undefined,
    candidates: members,
    isAssigned: () => false,
    waitingClaims: 0,
    claimsPauseAt: undefined,
    claimsCrowdUntil: undefined,
    claimsGoOn: false,
    demand: [],
    newNames: (count) => Array.from({ length: count }, (_, index) => `new-${index}`),
    failures: [],
    ...rest,
  }
}

export function plan(observed: ObservedPool, options: Partial<PoolPlanOptions> = {}): Plan<SandboxWarmPoolStatus> {
  return planPool(observed, NOW, { ...OPTIONS, ...options })
}

/** `create new-0`, `delete a`, `adopt b`, for tables. */
export function writesOf(given: Plan<SandboxWarmPoolStatus>): string[] {
  return given.writes.map((write) =>
    write.verb === 'create'
      ? `create ${write.object.metadata.name}`
      : `${write.verb === 'patch' ? 'adopt' : write.verb} ${write.target.name}`,
  )
}

/** `Ready=False/Filling: 0 of 3 members are Ready`, for tables. */
export function conditionsOf(given: Plan<SandboxWarmPoolStatus>): string[] {
  return (given.status?.conditions ?? []).map(
    ({ type, status, reason, message }) => `${type}=${status}/${reason}: ${message}`,
  )
}
