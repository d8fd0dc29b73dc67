/** The built-in kinds of Kubernetes that this server has: their names, verbs, fields to select by, and strategies. */
import type { KubeObject } from '@caisson/api'
import { decodeNative } from '../../schema/native.ts'
import type { FieldError } from '../../status-error.ts'
import * as columns from '../../table/builtin-columns.ts'
import { ingressClassColumns, ingressColumns } from '../../table/ingress-columns.ts'
import { decodeCrd } from '../crd-decode.ts'
import { crdStrategy } from '../crd-strategy.ts'
import { invalidValue } from '../field-error.ts'
import { MAX_ERRORS } from '../object-meta.ts'
import { ALL_VERBS, type Resource, type Strategy } from '../resource.ts'
import { policyBindingStrategy, policyStrategy } from './admission-policies.ts'
import { apiServiceKind } from './api-service.ts'
import { certificateSigningRequestKind } from './certificate-signing-request.ts'
import { coreKinds } from './core-kinds.ts'
import { csiKinds, volumeAttachmentKind } from './csi-kinds.ts'
import { endpointSliceStrategy } from './endpoints.ts'
import { eventsGroupKind } from './event-kinds.ts'
import { flowControlKinds } from './flow-control.ts'
import { ingressClassStrategy, ingressStrategy } from './ingress.ts'
import type { Kind } from './kind.ts'
import { networkPolicyStrategy } from './network-policy.ts'
import { clusterRoleBindingStrategy, clusterRoleStrategy, roleBindingStrategy, roleStrategy } from './rbac.ts'
import { ipAddressKind, serviceCidrKind } from './service-cidr.ts'
import { leaseStrategy, priorityClassStrategy, runtimeClassStrategy, storageClassStrategy } from './small-kinds.ts'
import { mutatingWebhookStrategy, validatingWebhookStrategy } from './webhook-configurations.ts'
import { appsKinds, autoscalingKinds, batchKinds, policyKinds } from './workload-kinds.ts'

/** Every built-in kind, in the order of discovery. */
export function builtinResources(): Resource[] {
  return KINDS.map(toResource)
}

function toResource(kind: Kind): Resource {
  const definition = `${kind.definitions}.${kind.kind}`
  return {
    group: kind.group ?? '',
    version: kind.version ?? 'v1',
    kind: kind.kind,
    listKind: `${kind.kind}List`,
    plural: kind.plural,
    singular: kind.kind.toLowerCase(),
    shortNames: kind.shortNames ?? [],
    categories: kind.categories ?? [],
    namespaced: kind.namespaced,
    verbs: kind.verbs ?? ALL_VERBS,
    storageVersion: kind.storageVersion ?? kind.version ?? 'v1',
    // A reference: what it refers to is read from disk when someone asks.
    schema: { $ref: definition },
    decode: kind.decode ?? ((value) => decodeNative(definition, value)),
    strategy: bounded(kind.anyFinalizer ? kind.strategy : withStandardFinalizers(kind.strategy)),
    columns: kind.columns,
    selectableFields: kind.selectableFields ?? {},
    status: kind.status ?? false,
    structural: true,
    ...(kind.scale && { scale: kind.scale }),
    ...(kind.stored && { stored: kind.stored }),
    ...(kind.deprecationWarning && { deprecationWarning: kind.deprecationWarning }),
  }
}

/** A refusal names so many errors and no more. */
function bounded(strategy: Strategy): Strategy {
  const { validate, validateUpdate, validateStatusUpdate } = strategy
  return {
    ...strategy,
    ...(validate && { validate: (object) => validate(object).slice(0, MAX_ERRORS) }),
    ...(validateUpdate && { validateUpdate: (next, current) => validateUpdate(next, current).slice(0, MAX_ERRORS) }),
    ...(validateStatusUpdate && {
      validateStatusUpdate: (next, current) => validateStatusUpdate(next, current).slice(0, MAX_ERRORS),
    }),
  }
}

const STANDARD_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion'])

/** Most built-in kinds take finalizers without a domain only where they are Kubernetes' own. */
function withStandardFinalizers(strategy: Strategy): Strategy {
  function check({ metadata }: KubeObject): FieldError[] {
    return (metadata.finalizers ?? []).flatMap((name, index) => {
      if (name.includes('/') || STANDARD_FINALIZERS.has(name)) return []
      const said = 'name is neither a standard finalizer name nor is it fully qualified'
      return [invalidValue(`metadata.finalizers[${index}]`, name, said)]
    })
  }
  return {
    ...strategy,
    validate: (object) => [...check(object), ...(strategy.validate?.(object) ?? [])],
    validateUpdate: (next, current) => [...check(next), ...(strategy.validateUpdate?.(next, current) ?? [])],
  }
}

const RBAC = { definitions: 'io.k8s.api.rbac.v1', group: 'rbac.authorization.k8s.io' }

const KINDS: readonly Kind[] = [
  ...coreKinds,
  apiServiceKind,
  ...appsKinds,
  eventsGroupKind,
  ...autoscalingKinds,
  ...batchKinds,
  certificateSigningRequestKind,
  {
    definitions: 'io.k8s.api.networking.v1',
    group: 'networking.k8s.io',
    kind: 'Ingress',
    plural: 'ingresses',
    shortNames: ['ing'],
    namespaced: true,
    status: true,
    columns: ingressColumns,
    strategy: ingressStrategy,
  },
  {
    definitions: 'io.k8s.api.networking.v1',
    group: 'networking.k8s.io',
    kind: 'IngressClass',
    plural: 'ingressclasses',
    namespaced: false,
    columns: ingressClassColumns,
    strategy: ingressClassStrategy,
  },
  ipAddressKind,
  {
    definitions: 'io.k8s.api.networking.v1',
    group: 'networking.k8s.io',
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    shortNames: ['netpol'],
    namespaced: true,
    columns: columns.networkPolicyColumns,
    strategy: networkPolicyStrategy,
  },
  serviceCidrKind,
  ...policyKinds,
  {
    ...RBAC,
    kind: 'ClusterRoleBinding',
    plural: 'clusterrolebindings',
    namespaced: false,
    columns: columns.bindingColumns,
    strategy: clusterRoleBindingStrategy,
  },
  {
    ...RBAC,
    kind: 'ClusterRole',
    plural: 'clusterroles',
    namespaced: false,
    columns: columns.createdAtColumns,
    strategy: clusterRoleStrategy,
  },
  {
    ...RBAC,
    kind: 'RoleBinding',
    plural: 'rolebindings',
    namespaced: true,
    columns: columns.bindingColumns,
    strategy: roleBindingStrategy,
  },
  {
    ...RBAC,
    kind: 'Role',
    plural: 'roles',
    namespaced: true,
    columns: columns.createdAtColumns,
    strategy: roleStrategy,
  },
  ...csiKinds,
  {
    definitions: 'io.k8s.api.storage.v1',
    group: 'storage.k8s.io',
    kind: 'StorageClass',
    plural: 'storageclasses',
    shortNames: ['sc'],
    namespaced: false,
    columns: columns.storageClassColumns,
    strategy: storageClassStrategy,
  },
  volumeAttachmentKind,
  {
    definitions: 'io.k8s.api.admissionregistration.v1',
    group: 'admissionregistration.k8s.io',
    kind: 'MutatingWebhookConfiguration',
    plural: 'mutatingwebhookconfigurations',
    categories: ['api-extensions'],
    namespaced: false,
    columns: columns.webhookColumns,
    strategy: mutatingWebhookStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.api.admissionregistration.v1',
    group: 'admissionregistration.k8s.io',
    kind: 'ValidatingAdmissionPolicy',
    plural: 'validatingadmissionpolicies',
    categories: ['api-extensions'],
    namespaced: false,
    status: true,
    columns: columns.policyColumns,
    strategy: policyStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.api.admissionregistration.v1',
    group: 'admissionregistration.k8s.io',
    kind: 'ValidatingAdmissionPolicyBinding',
    plural: 'validatingadmissionpolicybindings',
    categories: ['api-extensions'],
    namespaced: false,
    columns: columns.policyBindingColumns,
    strategy: policyBindingStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.api.admissionregistration.v1',
    group: 'admissionregistration.k8s.io',
    kind: 'ValidatingWebhookConfiguration',
    plural: 'validatingwebhookconfigurations',
    categories: ['api-extensions'],
    namespaced: false,
    columns: columns.webhookColumns,
    strategy: validatingWebhookStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
    group: 'apiextensions.k8s.io',
    kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions',
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    namespaced: false,
    status: true,
    columns: columns.createdAtColumns,
    strategy: crdStrategy,
    anyFinalizer: true,
    decode: decodeCrd,
  },
  {
    definitions: 'io.k8s.api.scheduling.v1',
    group: 'scheduling.k8s.io',
    kind: 'PriorityClass',
    plural: 'priorityclasses',
    shortNames: ['pc'],
    namespaced: false,
    columns: columns.priorityClassColumns,
    strategy: priorityClassStrategy,
  },
  {
    definitions: 'io.k8s.api.coordination.v1',
    group: 'coordination.k8s.io',
    kind: 'Lease',
    plural: 'leases',
    namespaced: true,
    columns: columns.leaseColumns,
    strategy: leaseStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.api.node.v1',
    group: 'node.k8s.io',
    kind: 'RuntimeClass',
    plural: 'runtimeclasses',
    namespaced: false,
    columns: columns.runtimeClassColumns,
    strategy: runtimeClassStrategy,
    anyFinalizer: true,
  },
  {
    definitions: 'io.k8s.api.discovery.v1',
    group: 'discovery.k8s.io',
    kind: 'EndpointSlice',
    plural: 'endpointslices',
    namespaced: true,
    columns: columns.endpointSliceColumns,
    strategy: endpointSliceStrategy,
  },
  ...flowControlKinds,
]
