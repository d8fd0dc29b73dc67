/** The kinds of Kubernetes itself that our own parts read or write. */

import type { CustomResourceDefinition } from 'kubernetes-types/apiextensions/v1.d.ts'
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from 'kubernetes-types/apps/v1.d.ts'
import type { TokenReview } from 'kubernetes-types/authentication/v1.d.ts'
import type { SelfSubjectAccessReview, SubjectAccessReview } from 'kubernetes-types/authorization/v1.d.ts'
import type { HorizontalPodAutoscaler } from 'kubernetes-types/autoscaling/v2.d.ts'
import type { CronJob, Job } from 'kubernetes-types/batch/v1.d.ts'
import type { CertificateSigningRequest } from 'kubernetes-types/certificates/v1.d.ts'
import type { Lease } from 'kubernetes-types/coordination/v1.d.ts'
import type {
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReplicationController,
  Secret,
  Service,
  ServiceAccount,
} from 'kubernetes-types/core/v1.d.ts'
import type { EndpointSlice } from 'kubernetes-types/discovery/v1.d.ts'
import type { Ingress, NetworkPolicy } from 'kubernetes-types/networking/v1.d.ts'
import type { RuntimeClass } from 'kubernetes-types/node/v1.d.ts'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.d.ts'
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from 'kubernetes-types/rbac/v1.d.ts'
import type { PriorityClass } from 'kubernetes-types/scheduling/v1.d.ts'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'
import { defineResource, type Typed } from './resource.ts'

export type PodObject = Typed<Pod>

const core = { group: '', version: 'v1' }
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' }

/**
 * Ready-made resources, named as their paths are.
 *
 * @example
 * const pod = await client.get(resources.pods, 'web', { namespace: 'default' })
 */
export const resources = {
  configMaps: defineResource<Typed<ConfigMap>>({ ...core, plural: 'configmaps', kind: 'ConfigMap', namespaced: true }),
  events: defineResource<Typed<Event>>({ ...core, plural: 'events', kind: 'Event', namespaced: true }),
  namespaces: defineResource<Typed<Namespace>>({ ...core, plural: 'namespaces', kind: 'Namespace', namespaced: false }),
  nodes: defineResource<Typed<Node>>({ ...core, plural: 'nodes', kind: 'Node', namespaced: false }),
  persistentVolumes: defineResource<Typed<PersistentVolume>>({
    ...core,
    plural: 'persistentvolumes',
    kind: 'PersistentVolume',
    namespaced: false,
  }),
  persistentVolumeClaims: defineResource<Typed<PersistentVolumeClaim>>({
    ...core,
    plural: 'persistentvolumeclaims',
    kind: 'PersistentVolumeClaim',
    namespaced: true,
  }),
  pods: defineResource<PodObject>({ ...core, plural: 'pods', kind: 'Pod', namespaced: true }),
  replicationControllers: defineResource<Typed<ReplicationController>>({
    group: '',
    version: 'v1',
    plural: 'replicationcontrollers',
    kind: 'ReplicationController',
    namespaced: true,
  }),
  secrets: defineResource<Typed<Secret>>({ ...core, plural: 'secrets', kind: 'Secret', namespaced: true }),
  services: defineResource<Typed<Service>>({ ...core, plural: 'services', kind: 'Service', namespaced: true }),
  serviceAccounts: defineResource<Typed<ServiceAccount>>({
    ...core,
    plural: 'serviceaccounts',
    kind: 'ServiceAccount',
    namespaced: true,
  }),

  deployments: defineResource<Typed<Deployment>>({
    group: 'apps',
    version: 'v1',
    plural: 'deployments',
    kind: 'Deployment',
    namespaced: true,
  }),
  replicaSets: defineResource<Typed<ReplicaSet>>({
    group: 'apps',
    version: 'v1',
    plural: 'replicasets',
    kind: 'ReplicaSet',
    namespaced: true,
  }),
  statefulSets: defineResource<Typed<StatefulSet>>({
    group: 'apps',
    version: 'v1',
    plural: 'statefulsets',
    kind: 'StatefulSet',
    namespaced: true,
  }),
  daemonSets: defineResource<Typed<DaemonSet>>({
    group: 'apps',
    version: 'v1',
    plural: 'daemonsets',
    kind: 'DaemonSet',
    namespaced: true,
  }),
  controllerRevisions: defineResource<Typed<ControllerRevision>>({
    group: 'apps',
    version: 'v1',
    plural: 'controllerrevisions',
    kind: 'ControllerRevision',
    namespaced: true,
  }),
  cronJobs: defineResource<Typed<CronJob>>({
    group: 'batch',
    version: 'v1',
    plural: 'cronjobs',
    kind: 'CronJob',
    namespaced: true,
  }),
  horizontalPodAutoscalers: defineResource<Typed<HorizontalPodAutoscaler>>({
    group: 'autoscaling',
    version: 'v2',
    plural: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
    namespaced: true,
  }),
  jobs: defineResource<Typed<Job>>({ group: 'batch', version: 'v1', plural: 'jobs', kind: 'Job', namespaced: true }),

  certificateSigningRequests: defineResource<Typed<CertificateSigningRequest>>({
    group: 'certificates.k8s.io',
    version: 'v1',
    plural: 'certificatesigningrequests',
    kind: 'CertificateSigningRequest',
    namespaced: false,
  }),
  leases: defineResource<Typed<Lease>>({
    group: 'coordination.k8s.io',
    version: 'v1',
    plural: 'leases',
    kind: 'Lease',
    namespaced: true,
  }),
  endpoints: defineResource<Typed<Endpoints>>({ ...core, plural: 'endpoints', kind: 'Endpoints', namespaced: true }),
  endpointSlices: defineResource<Typed<EndpointSlice>>({
    group: 'discovery.k8s.io',
    version: 'v1',
    plural: 'endpointslices',
    kind: 'EndpointSlice',
    namespaced: true,
  }),
  ingresses: defineResource<Typed<Ingress>>({
    group: 'networking.k8s.io',
    version: 'v1',
    plural: 'ingresses',
    kind: 'Ingress',
    namespaced: true,
  }),
  networkPolicies: defineResource<Typed<NetworkPolicy>>({
    group: 'networking.k8s.io',
    version: 'v1',
    plural: 'networkpolicies',
    kind: 'NetworkPolicy',
    namespaced: true,
  }),
  runtimeClasses: defineResource<Typed<RuntimeClass>>({
    group: 'node.k8s.io',
    version: 'v1',
    plural: 'runtimeclasses',
    kind: 'RuntimeClass',
    namespaced: false,
  }),
  podDisruptionBudgets: defineResource<Typed<PodDisruptionBudget>>({
    group: 'policy',
    version: 'v1',
    plural: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
    namespaced: true,
  }),
  priorityClasses: defineResource<Typed<PriorityClass>>({
    group: 'scheduling.k8s.io',
    version: 'v1',
    plural: 'priorityclasses',
    kind: 'PriorityClass',
    namespaced: false,
  }),
  storageClasses: defineResource<Typed<StorageClass>>({
    group: 'storage.k8s.io',
    version: 'v1',
    plural: 'storageclasses',
    kind: 'StorageClass',
    namespaced: false,
  }),

  roles: defineResource<Typed<Role>>({ ...rbac, plural: 'roles', kind: 'Role', namespaced: true }),
  roleBindings: defineResource<Typed<RoleBinding>>({
    ...rbac,
    plural: 'rolebindings',
    kind: 'RoleBinding',
    namespaced: true,
  }),
  clusterRoles: defineResource<Typed<ClusterRole>>({
    ...rbac,
    plural: 'clusterroles',
    kind: 'ClusterRole',
    namespaced: false,
  }),
  clusterRoleBindings: defineResource<Typed<ClusterRoleBinding>>({
    ...rbac,
    plural: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    namespaced: false,
  }),

  customResourceDefinitions: defineResource<Typed<CustomResourceDefinition>>({
    group: 'apiextensions.k8s.io',
    version: 'v1',
    plural: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    namespaced: false,
  }),

  /** Only `create`: the answer is in its status. */
  tokenReviews: defineResource<Typed<TokenReview>>({
    group: 'authentication.k8s.io',
    version: 'v1',
    plural: 'tokenreviews',
    kind: 'TokenReview',
    namespaced: false,
  }),
  /** Only `create`: the answer is in its status. */
  subjectAccessReviews: defineResource<Typed<SubjectAccessReview>>({
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'subjectaccessreviews',
    kind: 'SubjectAccessReview',
    namespaced: false,
  }),
  /** Only `create`: the answer is in its status. */
  selfSubjectAccessReviews: defineResource<Typed<SelfSubjectAccessReview>>({
    group: 'authorization.k8s.io',
    version: 'v1',
    plural: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
    namespaced: false,
  }),
} as const
