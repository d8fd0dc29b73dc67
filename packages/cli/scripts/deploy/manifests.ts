/**
 * deploy/manifests: the controllers for `kubectl apply`, under the names of agent-sandbox's release manifests. And
 * deploy/kustomization.yaml: both at once, each object said once, for `kubectl apply -k`, Argo CD and Flux.
 */
import {
  CONTROLLER_LEASE,
  CONTROLLER_NAME,
  CONTROLLER_NAMESPACE,
  claimCrd,
  poolCrd,
  sandboxCrd,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import {
  CONFIG_RULES,
  EXTENSION_CLUSTER_RULES,
  EXTENSION_RULES,
  FLAT_RULES,
  leaseRules,
  type Rule,
  SANDBOX_CLUSTER_RULES,
  SANDBOX_RULES,
  WARM_ENV_RULES,
} from './permissions.ts'
import { CONTAINER_SECURITY, controllerImage, POD_SECURITY, PORTS, PROBES, RESOURCES } from './workload.ts'

const labels = { app: CONTROLLER_NAME }
const metadata = { name: CONTROLLER_NAME, namespace: CONTROLLER_NAMESPACE, labels }
const subjects = [{ kind: 'ServiceAccount', name: CONTROLLER_NAME, namespace: CONTROLLER_NAMESPACE }]

function role(kind: 'ClusterRole' | 'Role', name: string, rules: readonly Rule[]): object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const about = kind === 'Role' ? { name, namespace: CONTROLLER_NAMESPACE } : { name }
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name }
  return [
    { apiVersion, kind, metadata: about, rules },
    { apiVersion, kind: `${kind}Binding`, metadata: about, roleRef, subjects },
  ]
}

function deployment(version: string, args: string[]): object {
  const container = {
    name: CONTROLLER_NAME,
    image: controllerImage(version),
    args,
    ports: PORTS,
    ...PROBES,
    resources: RESOURCES,
    securityContext: CONTAINER_SECURITY,
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { serviceAccountName: CONTROLLER_NAME, securityContext: POD_SECURITY, containers: [container] },
      },
    },
  }
}

const CORE_CRDS = [sandboxCrd(), snapshotCrd()]
const EXTENSION_CRDS = [templateCrd(), claimCrd(), poolCrd()]

/**
 * What each file below deploy/ holds. `extensions.yaml` comes after `manifest.yaml`, whose Deployment it gives a further
 * flag, and `warm-env.yaml` is for whoever has variables delivered to members of pools; `kustomization.yaml` is the first two,
 * with the CustomResourceDefinitions of deploy/crds.
 */
export function manifests(version: string): Readonly<Record<string, readonly object[]>> {
  const core = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    ...role('ClusterRole', CONTROLLER_NAME, [...SANDBOX_RULES, ...SANDBOX_CLUSTER_RULES]),
    ...role('Role', `${CONTROLLER_NAME}-leader-election`, leaseRules([CONTROLLER_LEASE])),
  ]
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: labels, ports: [{ name: 'metrics', port: 8080, targetPort: 'metrics', protocol: 'TCP' }] },
  }
  const extensions = [
    ...role('ClusterRole', `${CONTROLLER_NAME}-extensions`, [
      ...EXTENSION_RULES,
      ...FLAT_RULES,
      ...EXTENSION_CLUSTER_RULES,
    ]),
    ...role('Role', `${CONTROLLER_NAME}-config`, CONFIG_RULES),
    deployment(version, ['--leader-elect=true', '--extensions']),
  ]
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: CONTROLLER_NAMESPACE } }
  return {
    'manifests/manifest.yaml': [
      namespace,
      ...CORE_CRDS,
      ...core,
      deployment(version, ['--leader-elect=true']),
      service,
    ],
    'manifests/extensions.yaml': [...EXTENSION_CRDS, ...extensions],
    'manifests/warm-env.yaml': role('ClusterRole', `${CONTROLLER_NAME}-warm-env`, WARM_ENV_RULES),
    'controller.yaml': [namespace, ...core, ...extensions, service],
    'kustomization.yaml': [
      {
        apiVersion: 'kustomize.config.k8s.io/v1beta1',
        kind: 'Kustomization',
        resources: [
          ...[...CORE_CRDS, ...EXTENSION_CRDS].map(({ spec }) => `crds/${spec.group}_${spec.names.plural}.yaml`),
          'controller.yaml',
        ],
      },
    ],
  }
}
