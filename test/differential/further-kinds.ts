/** Kinds of which one valid object is enough: what is made of it is in generated-objects.ts. */
import { clusterWide, type Kind, namespaced } from './kind.ts'

const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } }
const task = { spec: { ...template.spec, restartPolicy: 'Never' } }
const clientConfig = { url: 'https://example.com/hook' }
const webhook = {
  name: 'a.example.com',
  clientConfig,
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  matchPolicy: 'Exact',
}
const rule = { apiGroups: ['example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['things'] }

/** `name` where the kind does not take any, or another version of it has the usual one. */
interface Further extends Omit<Kind, 'make' | 'changes'> {
  fields: Record<string, unknown>
  name?: string
}

export const FURTHER_KINDS: readonly Further[] = [
  { ...clusterWide('v1', 'Namespace', 'namespaces'), fields: {} },
  {
    ...namespaced('v1', 'Endpoints', 'endpoints'),
    fields: { subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 1 }] }] },
  },
  {
    ...namespaced('v1', 'LimitRange', 'limitranges'),
    fields: { spec: { limits: [{ type: 'Pod', max: { cpu: '64' } }] } },
  },
  { ...namespaced('v1', 'ResourceQuota', 'resourcequotas'), fields: { spec: { hard: { pods: '1000' } } } },
  { ...namespaced('v1', 'PodTemplate', 'podtemplates'), fields: { template } },
  {
    ...namespaced('v1', 'ReplicationController', 'replicationcontrollers'),
    fields: { spec: { selector: { app: 'x' }, template } },
  },
  { ...namespaced('apps/v1', 'ControllerRevision', 'controllerrevisions'), fields: { data: { a: 1 }, revision: 1 } },
  { ...namespaced('batch/v1', 'Job', 'jobs'), fields: { spec: { template: task } } },
  {
    ...namespaced('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
    name: 'metered',
    fields: {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        maxReplicas: 3,
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
          {
            type: 'ContainerResource',
            containerResource: {
              name: 'cpu',
              container: 'main',
              target: { type: 'Utilization', averageUtilization: 50 },
            },
          },
          { type: 'Pods', pods: { metric: { name: 'hits' }, target: { type: 'AverageValue', averageValue: '1' } } },
        ],
        behavior: { scaleUp: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] } },
      },
    },
  },
  {
    ...namespaced('autoscaling/v1', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
    name: 'older',
    fields: { spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 3 } },
  },
  {
    ...namespaced('events.k8s.io/v1', 'Event', 'events'),
    name: 'newer',
    fields: {
      eventTime: '2024-01-01T00:00:00.000000Z',
      reportingController: 'example.com/a',
      reportingInstance: 'a',
      action: 'Act',
      reason: 'Because',
      type: 'Normal',
      regarding: { kind: 'Pod', name: 'p', namespace: 'one' },
    },
  },
  {
    ...clusterWide('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings'),
    fields: {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'r' },
      subjects: [{ kind: 'ServiceAccount', name: 's', namespace: 'x' }],
    },
  },
  { ...clusterWide('storage.k8s.io/v1', 'CSIDriver', 'csidrivers'), fields: { spec: {} }, name: 'driver.example.com' },
  {
    ...clusterWide('storage.k8s.io/v1', 'CSINode', 'csinodes'),
    fields: {
      spec: { drivers: [{ name: 'a.example.com', nodeID: '1', topologyKeys: ['zone'], allocatable: { count: 3 } }] },
    },
  },
  {
    ...namespaced('storage.k8s.io/v1', 'CSIStorageCapacity', 'csistoragecapacities'),
    fields: { storageClassName: 'fast', capacity: '10Gi', nodeTopology: { matchLabels: { zone: 'a' } } },
  },
  {
    ...clusterWide('storage.k8s.io/v1', 'VolumeAttachment', 'volumeattachments'),
    fields: { spec: { attacher: 'a.example.com', nodeName: 'node-1', source: { persistentVolumeName: 'pv-1' } } },
  },
  {
    ...clusterWide('flowcontrol.apiserver.k8s.io/v1', 'FlowSchema', 'flowschemas'),
    fields: {
      spec: {
        priorityLevelConfiguration: { name: 'global-default' },
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: 'a' } }],
            nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['/a'] }],
          },
        ],
      },
    },
  },
  {
    ...clusterWide('flowcontrol.apiserver.k8s.io/v1', 'PriorityLevelConfiguration', 'prioritylevelconfigurations'),
    fields: { spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } } },
  },
  {
    ...clusterWide('networking.k8s.io/v1', 'IPAddress', 'ipaddresses'),
    fields: { spec: { parentRef: { group: 'g.example.com', resource: 'things', namespace: 'n', name: 'x' } } },
    name: '192.0.2.7',
  },
  {
    ...clusterWide(
      'admissionregistration.k8s.io/v1',
      'ValidatingWebhookConfiguration',
      'validatingwebhookconfigurations',
    ),
    fields: { webhooks: [{ ...webhook, rules: [rule] }] },
  },
  {
    ...clusterWide('admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 'mutatingwebhookconfigurations'),
    fields: { webhooks: [{ ...webhook, rules: [rule] }] },
  },
  {
    ...clusterWide('admissionregistration.k8s.io/v1', 'ValidatingAdmissionPolicy', 'validatingadmissionpolicies'),
    fields: {
      spec: { matchConstraints: { resourceRules: [rule] }, validations: [{ expression: 'object.spec.a > 1' }] },
    },
  },
  {
    ...clusterWide(
      'admissionregistration.k8s.io/v1',
      'ValidatingAdmissionPolicyBinding',
      'validatingadmissionpolicybindings',
    ),
    fields: { spec: { policyName: 'a', validationActions: ['Deny'] } },
  },
  {
    ...clusterWide('apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions'),
    name: 'gadgets.example.org',
    fields: {
      spec: {
        group: 'example.org',
        names: { kind: 'Gadget', plural: 'gadgets', singular: 'gadget', listKind: 'GadgetList' },
        scope: 'Namespaced',
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', properties: { a: { type: 'string' } } } },
              },
            },
          },
        ],
      },
    },
  },
]
