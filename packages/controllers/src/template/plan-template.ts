/** What a template needs: the label that its Sandboxes are found by, and its NetworkPolicy. */
import {
  controllerReference,
  LABELS,
  nameHash,
  type OwnerReference,
  ownershipOf,
  type SandboxTemplate,
  TEMPLATE_EVENTS,
  TEMPLATE_MESSAGES,
} from '@caisson/api'
import { sandboxTemplates } from '@caisson/client'
import { mergePatch } from '../engine/json-difference.ts'
import { nothing, type Plan, type PlannedEvent, type Write, type WriteFailure, writeId } from '../engine/plan.ts'
import { deletionOf, identityOf } from '../sandbox/objects.ts'
import {
  isLeftBy,
  isManaged,
  NETWORK_POLICIES,
  type NetworkPolicy,
  namespaceReference,
  networkPolicyName,
  networkPolicySpec,
  policyState,
} from './network-policy.ts'
import type { PolicyFailure } from './policy-failures.ts'

export interface ObservedTemplate {
  template: SandboxTemplate
  /** What has the name of its NetworkPolicy. */
  policy: NetworkPolicy | undefined
  /** UID of its namespace, once that is known. */
  namespaceUid: string | undefined
  /** An older template whose name has the same hash. */
  namesake: string | undefined
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
    notices: noticesOf(observed),
    retry: failures.some(({ permanent }) => !permanent),
  }
}

/** What is wrong with the write that the template's NetworkPolicy needs; `undone` where that is still to be tried. */
export function policyFailure(observed: ObservedTemplate): PolicyFailure | 'undone' | undefined {
  const write = policyWrite(observed)
  if (!write || observed.template.metadata.deletionTimestamp) return undefined
  return observed.failures.find(({ id }) => id === write.id) ?? 'undone'
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

function policyWrite(observed: ObservedTemplate): Write | undefined {
  const { template, policy, namesake } = observed
  // Of one whose name says nothing it would open the older one's Sandboxes.
  const wanted = isManaged(template) && namesake === undefined
  if (!policy) return wanted ? createPolicy(observed) : undefined
  const name = networkPolicyName(template)
  const target = { namespace: template.metadata.namespace ?? '', name }
  const { uid = '', resourceVersion = '' } = policy.metadata
  const isLeft = isLeftBy(policy, { name: template.metadata.name ?? '', uid: template.metadata.uid ?? '' })
  if (!isLeft && ownershipOf(policy, template) !== 'owned') return undefined
  if (!wanted) return isLeft ? undefined : deletionOf(NETWORK_POLICIES, policy)
  const spec = mergePatch(withoutEmpty(policy.spec ?? {}), withoutEmpty(networkPolicySpec(template)))
  const owners = ownersOf(observed)
  const present = policy.metadata.ownerReferences ?? []
  const isOwned = owners.every(({ uid }) => present.some((owner) => owner.uid === uid))
  if (!spec && isOwned) return undefined
  const id = `${writeId('patch', NETWORK_POLICIES, name)} ${resourceVersion}`
  return {
    verb: 'patch',
    id,
    resource: NETWORK_POLICIES,
    target,
    patch: {
      metadata: { uid, resourceVersion, ...(!isOwned && { ownerReferences: owners }) },
      ...(spec && { spec }),
    },
  }
}

function noticesOf({ template, policy, namesake }: ObservedTemplate): PlannedEvent[] {
  const { name = '' } = template.metadata
  const notice = (reason: string, message: string): PlannedEvent[] => [
    { type: 'Warning', reason, action: 'Reconciling', message },
  ]
  if (namesake !== undefined)
    return notice(TEMPLATE_EVENTS.nameCollision, TEMPLATE_MESSAGES.nameCollision(name, namesake))
  if (policyState(template, policy) !== 'foreign') return []
  const message = TEMPLATE_MESSAGES.networkPolicyConflict(networkPolicyName(template), name)
  return notice(TEMPLATE_EVENTS.networkPolicyConflict, message)
}

function ownersOf({ template, namespaceUid }: ObservedTemplate): OwnerReference[] {
  const { namespace = '' } = template.metadata
  return [
    controllerReference({ ...template, kind: sandboxTemplates.kind }),
    ...(namespaceUid === undefined ? [] : [namespaceReference({ name: namespace, uid: namespaceUid })]),
  ]
}

function createPolicy(observed: ObservedTemplate): Write {
  const { template } = observed
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
        ownerReferences: ownersOf(observed),
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

/** As Go writes it: empty lists and maps are left out. Selectors are neither: an empty one selects everything. */
function withoutEmpty(fields: object): object {
  const kept = Object.entries(fields).filter(([key, value]) => !isEmptyList(value) && !isEmptyMap(key, value))
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutEmptyIn(value)]))
}

function withoutEmptyIn(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmptyIn)
  return typeof value === 'object' && value !== null ? withoutEmpty(value) : value
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** The one map that there is in a NetworkPolicy's rules. */
function isEmptyMap(key: string, value: object): boolean {
  return key === 'matchLabels' && Object.keys(value).length === 0
}
