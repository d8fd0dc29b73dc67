/**
 * The rules of the roles that every cluster starts with: Kubernetes 1.34's own, and those for our kinds. Lists are
 * separated by spaces, and `core` is the group without a name.
 */
import type { PolicyRule } from './policy-rules.ts'

function on(verbs: string, groups: string, resources: string, names?: string): PolicyRule {
  return {
    verbs: verbs.split(' '),
    apiGroups: groups.split(' ').map((group) => (group === 'core' ? '' : group)),
    resources: resources.split(' '),
    ...(names && { resourceNames: names.split(' ') }),
  }
}

function onUrls(verbs: string, urls: string): PolicyRule {
  return { verbs: verbs.split(' '), nonResourceURLs: urls.split(' ') }
}

const READ = 'get list watch'
const WRITE = 'create delete deletecollection patch update'
const ALL = `${WRITE} ${READ}`
const EVENTS = on('create patch update', 'core events.k8s.io', 'events')

/** ClusterRoles by name, but for the aggregated ones. */
export const CLUSTER_ROLES: Readonly<Record<string, readonly PolicyRule[]>> = {
  'cluster-admin': [on('*', '*', '*'), onUrls('*', '*')],
  'system:aggregate-to-admin': [
    on('create', 'authorization.k8s.io', 'localsubjectaccessreviews'),
    on('create delete deletecollection get list patch update watch', 'rbac.authorization.k8s.io', 'rolebindings roles'),
  ],
  'system:aggregate-to-edit': [
    on(READ, 'core', 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'),
    on('impersonate', 'core', 'serviceaccounts'),
    on(WRITE, 'core', 'pods pods/attach pods/exec pods/portforward pods/proxy'),
    on('create', 'core', 'pods/eviction'),
    on(
      WRITE,
      'core',
      'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy',
    ),
    on('create', 'core', 'serviceaccounts/token'),
    on(
      WRITE,
      'apps',
      'daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale',
    ),
    on(WRITE, 'autoscaling', 'horizontalpodautoscalers'),
    on(WRITE, 'batch', 'cronjobs jobs'),
    on(
      WRITE,
      'extensions',
      'daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale',
    ),
    on(WRITE, 'policy', 'poddisruptionbudgets'),
    on(WRITE, 'networking.k8s.io', 'ingresses networkpolicies'),
    on('create delete deletecollection get list patch update watch', 'coordination.k8s.io', 'leases'),
    on(WRITE, 'resource.k8s.io', 'resourceclaims resourceclaimtemplates'),
  ],
  'system:aggregate-to-view': [
    on(
      READ,
      'core',
      'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status',
    ),
    on(
      READ,
      'core',
      'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status',
    ),
    on(READ, 'core', 'namespaces'),
    on(READ, 'discovery.k8s.io', 'endpointslices'),
    on(
      READ,
      'apps',
      'controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status',
    ),
    on(READ, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'),
    on(READ, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
    on(
      READ,
      'extensions',
      'daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale',
    ),
    on(READ, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'),
    on(READ, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
    on(READ, 'resource.k8s.io', 'resourceclaims resourceclaims/status resourceclaimtemplates'),
  ],
  'system:auth-delegator': [
    on('create', 'authentication.k8s.io', 'tokenreviews'),
    on('create', 'authorization.k8s.io', 'subjectaccessreviews'),
  ],
  'system:basic-user': [
    on('create', 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'),
    on('create', 'authentication.k8s.io', 'selfsubjectreviews'),
  ],
  'system:certificates.k8s.io:certificatesigningrequests:nodeclient': [
    on('create', 'certificates.k8s.io', 'certificatesigningrequests/nodeclient'),
  ],
  'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient': [
    on('create', 'certificates.k8s.io', 'certificatesigningrequests/selfnodeclient'),
  ],
  'system:certificates.k8s.io:kube-apiserver-client-approver': [
    on('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client'),
  ],
  'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver': [
    on('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client-kubelet'),
  ],
  'system:certificates.k8s.io:kubelet-serving-approver': [
    on('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kubelet-serving'),
  ],
  'system:certificates.k8s.io:legacy-unknown-approver': [
    on('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/legacy-unknown'),
  ],
  'system:discovery': [
    onUrls('get', '/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/'),
  ],
  'system:heapster': [on(READ, 'core', 'events namespaces nodes pods'), on(READ, 'extensions', 'deployments')],
  'system:kube-aggregator': [on(READ, 'core', 'endpoints services')],
  'system:kube-controller-manager': [
    EVENTS,
    on('create', 'coordination.k8s.io', 'leases'),
    on('get update', 'coordination.k8s.io', 'leases', 'kube-controller-manager'),
    on('create', 'core', 'secrets serviceaccounts'),
    on('delete', 'core', 'secrets'),
    on('get', 'core', 'configmaps namespaces secrets serviceaccounts'),
    on('update', 'core', 'secrets serviceaccounts'),
    on('create', 'authentication.k8s.io', 'tokenreviews'),
    on('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    on('list watch', '*', '*'),
    on('create', 'core', 'serviceaccounts/token'),
  ],
  'system:kube-dns': [on('list watch', 'core', 'endpoints services')],
  'system:kube-scheduler': [
    EVENTS,
    on('create', 'coordination.k8s.io', 'leases'),
    on('get list update watch', 'coordination.k8s.io', 'leases', 'kube-scheduler'),
    on('create delete deletecollection get list patch update watch', 'coordination.k8s.io', 'leasecandidates'),
    on(READ, 'core', 'nodes'),
    on('delete get list watch', 'core', 'pods'),
    on('create', 'core', 'bindings pods/binding'),
    on('patch update', 'core', 'pods/status'),
    on(READ, 'core', 'replicationcontrollers services'),
    on(READ, 'apps extensions', 'replicasets'),
    on(READ, 'apps', 'statefulsets'),
    on(READ, 'policy', 'poddisruptionbudgets'),
    on(READ, 'core', 'persistentvolumeclaims persistentvolumes'),
    on('create', 'authentication.k8s.io', 'tokenreviews'),
    on('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    on(READ, 'storage.k8s.io', 'csinodes'),
    on(READ, 'storage.k8s.io', 'volumeattachments'),
    on(READ, 'core', 'namespaces'),
    on(READ, 'storage.k8s.io', 'csidrivers'),
    on(READ, 'storage.k8s.io', 'csistoragecapacities'),
    on(READ, 'resource.k8s.io', 'deviceclasses'),
    on('get list patch update watch', 'resource.k8s.io', 'resourceclaims'),
    on('get list patch update watch', 'resource.k8s.io', 'resourceclaims/status'),
    on('update', 'core', 'pods/finalizers'),
    on(READ, 'resource.k8s.io', 'resourceslices'),
  ],
  'system:kubelet-api-admin': [
    on(READ, 'core', 'nodes'),
    on('proxy', 'core', 'nodes'),
    on('*', 'core', 'nodes/log nodes/metrics nodes/proxy nodes/stats'),
    on('*', 'core', 'nodes/configz nodes/healthz nodes/pods'),
  ],
  'system:monitoring': [
    onUrls('get', '/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*'),
    on('get', 'core', 'nodes/metrics'),
  ],
  'system:node': [
    on('create', 'authentication.k8s.io', 'tokenreviews'),
    on('create', 'authorization.k8s.io', 'localsubjectaccessreviews subjectaccessreviews'),
    on(READ, 'core', 'services'),
    on('create get list watch', 'core', 'nodes'),
    on('patch update', 'core', 'nodes/status'),
    on('patch update', 'core', 'nodes'),
    on('create patch update', 'core', 'events'),
    on(READ, 'core', 'pods'),
    on('create delete', 'core', 'pods'),
    on('patch update', 'core', 'pods/status'),
    on('create', 'core', 'pods/eviction'),
    on(READ, 'core', 'configmaps secrets'),
    on('get', 'core', 'persistentvolumeclaims persistentvolumes'),
    on('get', 'core', 'endpoints'),
    on('create get list watch', 'certificates.k8s.io', 'certificatesigningrequests'),
    on('create delete get patch update', 'coordination.k8s.io', 'leases'),
    on('get', 'storage.k8s.io', 'volumeattachments'),
    on('create', 'core', 'serviceaccounts/token'),
    on('get patch update', 'core', 'persistentvolumeclaims/status'),
    on(READ, 'storage.k8s.io', 'csidrivers'),
    on('create delete get patch update', 'storage.k8s.io', 'csinodes'),
    on(READ, 'node.k8s.io', 'runtimeclasses'),
    on('get', 'resource.k8s.io', 'resourceclaims'),
    on('deletecollection', 'resource.k8s.io', 'resourceslices'),
    on('get', 'core', 'serviceaccounts'),
    // Ours: nodes keep the files of snapshots.
    on('get list watch patch', 'caisson.dev', 'sandboxsnapshots'),
    on('patch', 'caisson.dev', 'sandboxsnapshots/status'),
  ],
  'system:node-bootstrapper': [on('create get list watch', 'certificates.k8s.io', 'certificatesigningrequests')],
  'system:node-problem-detector': [on('get', 'core', 'nodes'), on('patch', 'core', 'nodes/status'), EVENTS],
  'system:node-proxier': [
    on('list watch', 'core', 'endpoints services'),
    on(READ, 'core', 'nodes'),
    EVENTS,
    on('list watch', 'networking.k8s.io', 'servicecidrs'),
    on('list watch', 'discovery.k8s.io', 'endpointslices'),
  ],
  'system:persistent-volume-provisioner': [
    on('create delete get list watch', 'core', 'persistentvolumes'),
    on('get list update watch', 'core', 'persistentvolumeclaims'),
    on(READ, 'storage.k8s.io', 'storageclasses'),
    on('watch', 'core', 'events'),
    EVENTS,
  ],
  'system:public-info-viewer': [onUrls('get', '/healthz /livez /readyz /version /version/')],
  'system:service-account-issuer-discovery': [
    onUrls(
      'get',
      '/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/',
    ),
  ],
  'system:volume-scheduler': [
    on('get list patch update watch', 'core', 'persistentvolumes'),
    on(READ, 'storage.k8s.io', 'storageclasses'),
    on('get list patch update watch', 'core', 'persistentvolumeclaims'),
  ],
  // Ours. The flat kinds of `agents.x-k8s.io` bear the same names as the canonical ones of the extensions group.
  'caisson:aggregate-to-view': [
    on(READ, 'agents.x-k8s.io', 'sandboxes sandboxes/status sandboxes/scale'),
    on(
      READ,
      'agents.x-k8s.io extensions.agents.x-k8s.io',
      'sandboxtemplates sandboxtemplates/status sandboxclaims sandboxclaims/status sandboxwarmpools sandboxwarmpools/status sandboxwarmpools/scale',
    ),
    on(READ, 'caisson.dev', 'sandboxsnapshots sandboxsnapshots/status'),
    // As metrics-server's own role has it.
    on(READ, 'metrics.k8s.io', 'nodes pods'),
  ],
  'caisson:aggregate-to-edit': [
    on(WRITE, 'agents.x-k8s.io', 'sandboxes sandboxes/scale'),
    on(
      WRITE,
      'agents.x-k8s.io extensions.agents.x-k8s.io',
      'sandboxtemplates sandboxclaims sandboxwarmpools sandboxwarmpools/scale',
    ),
    on(WRITE, 'caisson.dev', 'sandboxsnapshots'),
  ],
  // The control plane in one process has one user, and patches where Kubernetes' controllers replace. It cannot hand out
  // what it does not hold: there is no `escalate`, `bind` or `impersonate` here, and it creates only these.
  'caisson:control-plane': [
    EVENTS,
    on('get list watch patch update delete deletecollection', '*', '*'),
    on('create', 'core', 'serviceaccounts configmaps persistentvolumes pods/binding bindings'),
    on('create', 'core', 'pods persistentvolumeclaims'),
    on('create', 'apps', 'replicasets controllerrevisions'),
    on('create', 'batch', 'jobs'),
    on('create', 'coordination.k8s.io', 'leases'),
    on('create', 'core', 'endpoints endpoints/restricted'),
    on('create', 'discovery.k8s.io', 'endpointslices'),
  ],
  // Beside what Kubernetes gives to kube-proxy: what NetworkPolicies and names of Pods are decided by.
  'caisson:network': [on(READ, 'core', 'pods namespaces'), on(READ, 'networking.k8s.io', 'networkpolicies')],
  // Not by the name that the controllers' manifests have theirs by: who applies those here would take it away.
  'caisson:sandbox-controller': [
    EVENTS,
    on(ALL, 'core', 'pods services persistentvolumeclaims'),
    on('patch update', 'core', 'pods/status pods/finalizers'),
    // Variables of claims for members of pools: single objects by name, none of which it watches.
    on('create delete get', 'core', 'secrets'),
    on('get', 'core', 'configmaps'),
    // Which label domains claims may use.
    on('list watch', 'core', 'configmaps', 'agent-sandbox-config'),
    on(READ, 'core', 'namespaces nodes'),
    on(ALL, 'agents.x-k8s.io extensions.agents.x-k8s.io caisson.dev', '*'),
    on(ALL, 'networking.k8s.io', 'networkpolicies'),
    on(ALL, 'coordination.k8s.io', 'leases'),
    on(READ, 'apiextensions.k8s.io', 'customresourcedefinitions'),
    on(READ, 'node.k8s.io', 'runtimeclasses'),
  ],
  // It executes in sandboxes, reads of the cluster nothing but where they are, and asks whose tokens are and what they may.
  'caisson:sandbox-router': [
    on(READ, 'core', 'pods'),
    on('create get', 'core', 'pods/exec pods/portforward'),
    on('create', 'authentication.k8s.io', 'tokenreviews'),
    on('create', 'authorization.k8s.io', 'subjectaccessreviews'),
  ],
}

/** The role of each controller that the embedded cluster runs, by the name of its ServiceAccount in kube-system. */
export const CONTROLLER_ROLES: Readonly<Record<string, readonly PolicyRule[]>> = {
  'clusterrole-aggregation-controller': [
    on('escalate get list patch update watch', 'rbac.authorization.k8s.io', 'clusterroles'),
  ],
  'cronjob-controller': [
    on('get list update watch', 'batch', 'cronjobs'),
    on('create delete get list patch update watch', 'batch', 'jobs'),
    on('update', 'batch', 'cronjobs/status'),
    on('update', 'batch', 'cronjobs/finalizers'),
    on('delete list watch', 'core', 'pods'),
    EVENTS,
  ],
  'daemon-set-controller': [
    on(READ, 'apps extensions', 'daemonsets'),
    on('update', 'apps extensions', 'daemonsets/status'),
    on('update', 'apps extensions', 'daemonsets/finalizers'),
    on('list watch', 'core', 'nodes'),
    on('create delete list patch watch', 'core', 'pods'),
    on('create', 'core', 'pods/binding'),
    on('create delete get list patch update watch', 'apps', 'controllerrevisions'),
    EVENTS,
  ],
  'deployment-controller': [
    on('get list update watch', 'apps extensions', 'deployments'),
    on('update', 'apps extensions', 'deployments/status'),
    on('update', 'apps extensions', 'deployments/finalizers'),
    on('create delete get list patch update watch', 'apps extensions', 'replicasets'),
    on('get list update watch', 'core', 'pods'),
    EVENTS,
  ],
  'disruption-controller': [
    on(READ, 'apps extensions', 'deployments'),
    on(READ, 'apps extensions', 'replicasets'),
    on(READ, 'core', 'replicationcontrollers'),
    on(READ, 'policy', 'poddisruptionbudgets'),
    on(READ, 'apps', 'statefulsets'),
    on('update', 'policy', 'poddisruptionbudgets/status'),
    on('patch update', 'core', 'pods/status'),
    on('get', '*', '*/scale'),
    EVENTS,
  ],
  'endpoint-controller': [
    on(READ, 'core', 'pods services'),
    on('create delete get list update watch', 'core', 'endpoints'),
    on('create', 'core', 'endpoints/restricted'),
    EVENTS,
  ],
  'endpointslice-controller': [
    on(READ, 'core', 'nodes pods services'),
    on('update', 'core', 'services/finalizers'),
    on('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'),
    EVENTS,
  ],
  'ephemeral-volume-controller': [
    on(READ, 'core', 'pods'),
    on('update', 'core', 'pods/finalizers'),
    on('create get list watch', 'core', 'persistentvolumeclaims'),
    EVENTS,
  ],
  'generic-garbage-collector': [on('delete get list patch update watch', '*', '*'), EVENTS],
  'job-controller': [
    on('get list patch update watch', 'batch', 'jobs'),
    on('update', 'batch', 'jobs/status'),
    on('update', 'batch', 'jobs/finalizers'),
    on('create delete list patch watch', 'core', 'pods'),
    EVENTS,
  ],
  'namespace-controller': [
    on('delete get list watch', 'core', 'namespaces'),
    on('update', 'core', 'namespaces/finalize namespaces/status'),
    on('delete deletecollection get list watch', '*', '*'),
  ],
  'node-controller': [
    on('delete get list patch update watch', 'core', 'nodes'),
    on('patch update', 'core', 'nodes/status'),
    on('patch update', 'core', 'pods/status'),
    on('delete get list watch', 'core', 'pods'),
    EVENTS,
  ],
  'persistent-volume-binder': [
    on('create delete get list update watch', 'core', 'persistentvolumes'),
    on('update', 'core', 'persistentvolumes/status'),
    on('get list update watch', 'core', 'persistentvolumeclaims'),
    on('update', 'core', 'persistentvolumeclaims/status'),
    on('create delete get list watch', 'core', 'pods'),
    on(READ, 'storage.k8s.io', 'storageclasses'),
    on('list watch', 'core', 'nodes'),
    EVENTS,
    on('watch', 'core', 'events'),
    on('get', 'core', 'services'),
  ],
  'pod-garbage-collector': [
    on('delete list watch', 'core', 'pods'),
    on(READ, 'core', 'nodes'),
    on('patch', 'core', 'pods/status'),
  ],
  'pv-protection-controller': [on('get list update watch', 'core', 'persistentvolumes'), EVENTS],
  'pvc-protection-controller': [
    on('get list update watch', 'core', 'persistentvolumeclaims'),
    on(READ, 'core', 'pods'),
    EVENTS,
  ],
  'replicaset-controller': [
    on('get list update watch', 'apps extensions', 'replicasets'),
    on('update', 'apps extensions', 'replicasets/status'),
    on('update', 'apps extensions', 'replicasets/finalizers'),
    on('create delete list patch watch', 'core', 'pods'),
    EVENTS,
  ],
  'resourcequota-controller': [on('list watch', '*', '*'), on('update', 'core', 'resourcequotas/status'), EVENTS],
  'root-ca-cert-publisher': [on('create update', 'core', 'configmaps'), EVENTS],
  'service-account-controller': [on('create', 'core', 'serviceaccounts'), EVENTS],
  'statefulset-controller': [
    on('list watch', 'core', 'pods'),
    on(READ, 'apps', 'statefulsets'),
    on('update', 'apps', 'statefulsets/status'),
    on('update', 'apps', 'statefulsets/finalizers'),
    on('create delete get patch update', 'core', 'pods'),
    on('create delete get list patch update watch', 'apps', 'controllerrevisions'),
    on('create get list watch', 'core', 'persistentvolumeclaims'),
    EVENTS,
    on('delete update', 'core', 'persistentvolumeclaims'),
    on('update', 'core', 'pods/finalizers'),
  ],
  'ttl-after-finished-controller': [on('delete get list watch', 'batch', 'jobs'), EVENTS],
}

/** Roles of one namespace, as `namespace/name`. */
export const NAMESPACED_ROLES: Readonly<Record<string, readonly PolicyRule[]>> = {
  'kube-system/extension-apiserver-authentication-reader': [
    on(READ, 'core', 'configmaps', 'extension-apiserver-authentication'),
  ],
  'kube-system/system::leader-locking-kube-controller-manager': [
    on('watch', 'core', 'configmaps'),
    on('get update', 'core', 'configmaps', 'kube-controller-manager'),
    on('create get list update watch', 'coordination.k8s.io', 'leases'),
    on('create get list update watch', 'coordination.k8s.io', 'leasecandidates'),
  ],
  'kube-system/system::leader-locking-kube-scheduler': [
    on('watch', 'core', 'configmaps'),
    on('get update', 'core', 'configmaps', 'kube-scheduler'),
    on('create get list update watch', 'coordination.k8s.io', 'leases'),
    on('create get list update watch', 'coordination.k8s.io', 'leasecandidates'),
  ],
}
