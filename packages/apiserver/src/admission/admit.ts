/**
 * Admission: what is asked of every write beyond permission and schema. Before validation, whatever may change the
 * object; after it, whatever may only refuse it; each in Kubernetes' order.
 *
 * It runs inside the store's write transaction, where reads see the newest state, and so is synchronous throughout.
 */
import type { Authorizer } from '../authz/authorizer.ts'
import { checkEscalation } from '../authz/escalation.ts'
import type { Registry } from '../registry/registry.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { admitCertificates } from './certificates.ts'
import { applyDefaultIngressClass } from './ingress-class.ts'
import { applyLimitRanges, enforceLimitRanges } from './limit-ranger.ts'
import { admitNamespaceLifecycle } from './namespace-lifecycle.ts'
import { restrictNode } from './node-restriction.ts'
import { taintNewNode } from './node-taints.ts'
import { admitPodSecurity, type PodSecurityOptions } from './pod-security/admit-pod-security.ts'
import { specOf } from './pod-shape.ts'
import { admitPolicies } from './policies/admit-policies.ts'
import { applyPriority, validatePriorityClass } from './priority.ts'
import { chargeQuotas } from './resource-quota.ts'
import { applyRuntimeClass, validateRuntimeClass } from './runtime-class.ts'
import { applyServiceAccount, validateServiceAccount } from './service-account.ts'
import { applyDefaultStorageClass, protectWhileInUse, validateClaimResize } from './storage-volumes.ts'
import { addDefaultTolerations } from './tolerations.ts'

export interface AdmissionOptions {
  store: Pick<Store, 'get' | 'list'>
  authorizer: Authorizer
  /** Baseline unless labelled, and kube-system privileged, where not given. */
  podSecurity?: Partial<PodSecurityOptions>
  /** ms since the epoch. */
  now(): number
  /** The kinds that are served, for policies about other versions of a kind and for their parameters. */
  registry(): Pick<Registry, 'all'>
}

export interface Admission {
  /**
   * What comes before validation: completes `object` in place. Throws the `StatusError` to answer with where the
   * request is refused; nothing may be stored then.
   */
  admit(request: AdmissionRequest): void
  /** Throws where a role or a binding, as it is by now, gives more than the user may hand out. */
  confirmGrants(request: AdmissionRequest): void
  /** What comes after validation of a creation or an update: throws, and changes nothing. */
  admitValidated(request: AdmissionRequest): void
}

export function createAdmission({ store, authorizer, podSecurity, now, registry }: AdmissionOptions): Admission {
  const options: PodSecurityOptions = {
    unlabelled: 'baseline',
    privilegedNamespaces: ['kube-system'],
    ...podSecurity,
  }
  return {
    admit(request) {
      if (request.operation === 'CONNECT') {
        admitPolicies(request, { store, registry: registry() })
        return
      }
      complete(request, store)
      // Deletions are not validated apart.
      if (request.operation === 'DELETE') admitPolicies(request, { store, registry: registry() })
    },
    confirmGrants(request) {
      const { resource, user, object, oldObject } = request
      if (isRbac(request) && object) checkEscalation(authorizer, { resource: resource.plural, user, object, oldObject })
    },
    admitValidated(request) {
      admitPodSecurity(request, { store, options })
      refuseUnfit(request, store)
      if (request.resource.group === 'certificates.k8s.io') admitCertificates(request, authorizer)
      admitPolicies(request, { store, registry: registry() })
      chargeQuotas(request, now())
    },
  }
}

function complete(request: AdmissionRequest, store: Pick<Store, 'get' | 'list'>): void {
  const { operation, resource, object, subresource } = request
  admitNamespaceLifecycle(request, store)
  const key = keyOf(resource)
  const creates = operation === 'CREATE' && subresource === ''
  if (key === 'pods') {
    if (creates || isPodResize(request)) applyLimitRanges(request, store)
    applyServiceAccount(request, store)
    validateServiceAccount(request, store)
  }
  restrictNode(request, store)
  if (subresource !== '' || !object) return
  if (key === 'pods') {
    applyPriority(request, store)
    addDefaultTolerations(specOf(object))
    if (creates) applyRuntimeClass(request, store)
  } else if (key === 'nodes' && creates) {
    taintNewNode(request)
  } else if (key === 'persistentvolumeclaims' && creates) {
    applyDefaultStorageClass(request, store)
    protectWhileInUse(request, 'kubernetes.io/pvc-protection')
  } else if (key === 'ingresses.networking.k8s.io' && creates) {
    applyDefaultIngressClass(request, store)
  } else if (key === 'persistentvolumes' && creates) {
    protectWhileInUse(request, 'kubernetes.io/pv-protection')
  }
}

function refuseUnfit(request: AdmissionRequest, store: Pick<Store, 'get' | 'list'>): void {
  const { operation, resource, subresource } = request
  const key = keyOf(resource)
  if (
    isPodResize(request) ||
    (subresource === '' && (key === 'persistentvolumeclaims' || (key === 'pods' && operation === 'CREATE')))
  )
    enforceLimitRanges(request, store)
  if (key === 'pods' && operation === 'CREATE' && subresource === '') validateRuntimeClass(request, store)
  else if (key === 'persistentvolumeclaims' && subresource === '') validateClaimResize(request, store)
  else if (key === 'priorityclasses.scheduling.k8s.io') validatePriorityClass(request, store)
}

function isPodResize({ operation, resource, subresource }: AdmissionRequest): boolean {
  return keyOf(resource) === 'pods' && subresource === 'resize' && operation === 'UPDATE'
}

function isRbac({ resource }: AdmissionRequest): boolean {
  return resource.group === 'rbac.authorization.k8s.io'
}

function keyOf({ group, plural }: AdmissionRequest['resource']): string {
  return group === '' ? plural : `${plural}.${group}`
}
