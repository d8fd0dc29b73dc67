/**
 * Admission: what is asked of every write beyond permission and schema. First whatever may change the object, then
 * whatever may only refuse it, each in Kubernetes' order.
 *
 * It runs inside the store's write transaction, where reads see the newest state, and so is synchronous throughout.
 */
import type { Authorizer } from '../authz/authorizer.ts'
import { checkEscalation } from '../authz/escalation.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { admitNamespaceLifecycle } from './namespace-lifecycle.ts'
import { restrictNode } from './node-restriction.ts'
import { specOf } from './pod-shape.ts'
import { admitPodSecurity, type PodSecurityOptions } from './pod-security/admit-pod-security.ts'
import { applyPriority, validatePriorityClass } from './priority.ts'
import { applyRuntimeClass, validateRuntimeClass } from './runtime-class.ts'
import { applyServiceAccount, validateServiceAccount } from './service-account.ts'
import { applyDefaultStorageClass, protectWhileInUse, validateClaimResize } from './storage-volumes.ts'
import { addDefaultTolerations } from './tolerations.ts'

export interface AdmissionOptions {
  store: Pick<Store, 'get' | 'list'>
  authorizer: Authorizer
  /** Baseline unless labelled, and kube-system privileged, where not given. */
  podSecurity?: Partial<PodSecurityOptions>
}

export interface Admission {
  /**
   * Completes `object` in place. Throws the `StatusError` to answer with where the request is refused; nothing may be
   * stored then.
   */
  admit(request: AdmissionRequest): void
}

export function createAdmission({ store, authorizer, podSecurity }: AdmissionOptions): Admission {
  const security: PodSecurityOptions = {
    unlabelled: 'baseline',
    privilegedNamespaces: ['kube-system'],
    ...podSecurity,
  }
  return {
    admit(request) {
      if (request.operation === 'CONNECT') return
      mutate(request, store)
      validate(request, { store, authorizer })
      admitPodSecurity(request, { store, options: security })
    },
  }
}

function mutate(request: AdmissionRequest, store: Pick<Store, 'get' | 'list'>): void {
  const { operation, resource, object, subresource } = request
  admitNamespaceLifecycle(request, store)
  const key = keyOf(resource)
  const creates = operation === 'CREATE' && subresource === ''
  if (key === 'pods') applyServiceAccount(request, store)
  restrictNode(request, store)
  if (subresource !== '' || !object) return
  if (key === 'pods') {
    applyPriority(request, store)
    addDefaultTolerations(specOf(object))
    if (creates) applyRuntimeClass(request, store)
  } else if (key === 'persistentvolumeclaims' && creates) {
    applyDefaultStorageClass(request, store)
    protectWhileInUse(request, 'kubernetes.io/pvc-protection')
  } else if (key === 'persistentvolumes' && creates) {
    protectWhileInUse(request, 'kubernetes.io/pv-protection')
  }
}

function validate(
  request: AdmissionRequest,
  { store, authorizer }: Pick<AdmissionOptions, 'store' | 'authorizer'>,
): void {
  const { operation, resource, object, oldObject, subresource, user } = request
  switch (keyOf(resource)) {
    case 'pods':
      validateServiceAccount(request, store)
      if (operation === 'CREATE' && subresource === '') validateRuntimeClass(request, store)
      return
    case 'persistentvolumeclaims':
      if (subresource === '') validateClaimResize(request, store)
      return
    case 'priorityclasses.scheduling.k8s.io':
      validatePriorityClass(request, store)
      return
    case 'roles.rbac.authorization.k8s.io':
    case 'clusterroles.rbac.authorization.k8s.io':
    case 'rolebindings.rbac.authorization.k8s.io':
    case 'clusterrolebindings.rbac.authorization.k8s.io':
      if (object) checkEscalation(authorizer, { resource: resource.plural, user, object, oldObject })
      return
    default:
  }
}

function keyOf({ group, plural }: AdmissionRequest['resource']): string {
  return group === '' ? plural : `${plural}.${group}`
}
