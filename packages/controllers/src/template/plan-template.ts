/** What a template needs: the label that its Sandboxes are found by, and its NetworkPolicy. */
import {
  controllerReference,
  LABELS,
  nameHash,
  ownershipOf,
  type SandboxTemplate,
  TEMPLATE_EVENTS,
  TEMPLATE_MESSAGES,
} from '@caisson/api'
import { sandboxTemplates } from '@caisson/client'
import { mergePatch } from '../engine/json-difference.ts'
import { nothing, type Plan, type PlannedEvent, type Write, type WriteFailure, writeId } from '../engine/plan.ts'
import { identityOf } from '../sandbox/objects.ts'
import {
  isManaged,
  NETWORK_POLICIES,
  type NetworkPolicy,
  networkPolicyName,
  networkPolicySpec,
} from './network-policy.ts'

export interface ObservedTemplate {
  template: SandboxTemplate
  /** What has the name of its NetworkPolicy. */
  policy: NetworkPolicy | undefined
  failures: readonly WriteFailure[]
}

/** How long to leave a template alone whose namespace goes away: usually it is gone by then. */
const NAMESPACE_TERMINATING_RECHECK = 30_000

/** @param now ms since the epoch */
export function planTemplate(observed: ObservedTemplate, now: number): Plan<never> {
  const { template, failures } = observed
  if (template.metadata.deletionTimestamp) return nothing()
  if (failures.some(({ namespaceTerminating }) => namespaceTerminating)) {
    return nothing(now + NAMESPACE_TERMINATING_RECHECK)
  }
  const refused = new Set(failures.map(({ id }) => id))
  const writes = [labelWrite(template), policyWrite(observed)].filter(
    (write): write is Write => write !== undefined && !refused.has(write.id),
  )
  return {
    ...nothing(),
    writes,
    notices: policyState(template, observed.policy) === 'foreign' ? [foreignPolicy(template)] : [],
    retry: failures.some(({ permanent }) => !permanent),
  }
}

/**
 * Whether Sandboxes of the template may start: not before the policy that keeps them apart is there. Where something else
 * has its name they never may, since that may allow anything.
 */
export function policyState(
  template: SandboxTemplate,
  policy: NetworkPolicy | undefined,
): 'enforced' | 'missing' | 'foreign' {
  if (!isManaged(template)) return 'enforced'
  if (!policy) return 'missing'
  return ownershipOf(policy, template) === 'owned' ? 'enforced' : 'foreign'
}

function labelWrite(template: SandboxTemplate): Write | undefined {
  const { name, namespace, uid } = identityOf(template)
  const hash = nameHash(name)
  if (template.metadata.labels?.[LABELS.templateRefHash] === hash) return undefined
  return {
    verb: 'patch',
    id: writeId('patch', sandboxTemplates, name),
    resource: sandboxTemplates,
    target: { namespace, name },
    patch: { metadata: { uid, labels: { [LABELS.templateRefHash]: hash } } },
  }
}

function policyWrite({ template, policy }: ObservedTemplate): Write | undefined {
  if (!policy) return isManaged(template) ? createPolicy(template) : undefined
  const name = networkPolicyName(template)
  const target = { namespace: template.metadata.namespace ?? '', name }
  const { uid = '', resourceVersion = '' } = policy.metadata
  if (ownershipOf(policy, template) !== 'owned') return undefined
  if (!isManaged(template)) {
    return { verb: 'delete', id: writeId('delete', NETWORK_POLICIES, name), resource: NETWORK_POLICIES, target, uid }
  }
  const spec = mergePatch(withoutEmpty(policy.spec ?? {}), networkPolicySpec(template))
  if (!spec) return undefined
  const id = `${writeId('patch', NETWORK_POLICIES, name)} ${resourceVersion}`
  return {
    verb: 'patch',
    id,
    resource: NETWORK_POLICIES,
    target,
    patch: { metadata: { uid, resourceVersion }, spec },
  }
}

function foreignPolicy(template: SandboxTemplate): PlannedEvent {
  return {
    type: 'Warning',
    reason: TEMPLATE_EVENTS.networkPolicyConflict,
    action: 'Reconciling',
    message: TEMPLATE_MESSAGES.networkPolicyConflict(networkPolicyName(template), template.metadata.name ?? ''),
  }
}

function createPolicy(template: SandboxTemplate): Write {
  const name = networkPolicyName(template)
  return {
    verb: 'create',
    id: writeId('create', NETWORK_POLICIES, name),
    resource: NETWORK_POLICIES,
    object: {
      apiVersion: NETWORK_POLICIES.apiVersion,
      kind: NETWORK_POLICIES.kind,
      metadata: {
        name,
        namespace: template.metadata.namespace ?? '',
        ownerReferences: [controllerReference({ ...template, kind: sandboxTemplates.kind })],
      },
      spec: networkPolicySpec(template),
    },
    failureEvent: {
      type: 'Warning',
      reason: TEMPLATE_EVENTS.networkPolicyFailed,
      action: 'Reconciling',
      message: TEMPLATE_MESSAGES.networkPolicyFailed(name),
    },
  }
}

/** No rule and an empty list of rules are the same. */
function withoutEmpty<T extends object>(spec: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(spec).filter(([, value]) => !(Array.isArray(value) && value.length === 0)),
  ) as Partial<T>
}
