/** The roles and bindings that every cluster has from its first start, and how they are kept complete. */
import { randomUUID } from 'node:crypto'
import { CONTROLLER_NAME, CONTROLLER_NAMESPACE, type KubeObject } from '@caisson/api'
import type { Store, Transaction } from '../storage/store.ts'
import { aggregatedRules } from './aggregation.ts'
import { ROLE_RESOURCES, type RoleRef, type Subject } from './binding-index.ts'
import { CLUSTER_ROLES, CONTROLLER_ROLES, NAMESPACED_ROLES } from './bootstrap-roles.ts'
import { uncovered } from './coverage.ts'
import { type PolicyRule, rulesOf } from './policy-rules.ts'

const API_VERSION = 'rbac.authorization.k8s.io/v1'
const API_GROUP = 'rbac.authorization.k8s.io'
const AUTO_UPDATE = 'rbac.authorization.kubernetes.io/autoupdate'
const AGGREGATE = 'rbac.authorization.k8s.io/aggregate-to-'

type AggregatedRole = 'admin' | 'edit' | 'view'

/** Which role each of these adds its rules to. */
const AGGREGATED_INTO: Readonly<Record<string, AggregatedRole>> = {
  edit: 'admin',
  view: 'edit',
  'system:aggregate-to-admin': 'admin',
  'system:aggregate-to-edit': 'edit',
  'system:aggregate-to-view': 'view',
  'caisson:aggregate-to-edit': 'edit',
  'caisson:aggregate-to-view': 'view',
}

/** ClusterRoles by name with those whom they are bound to. */
const CLUSTER_BINDINGS: Readonly<Record<string, readonly Subject[]>> = {
  'cluster-admin': [group('system:masters')],
  'system:basic-user': [group('system:authenticated')],
  'system:discovery': [group('system:authenticated')],
  'system:kube-controller-manager': [user('system:kube-controller-manager')],
  'system:kube-dns': [serviceAccount('kube-system', 'kube-dns')],
  'system:kube-scheduler': [user('system:kube-scheduler')],
  'system:monitoring': [group('system:monitoring')],
  // For administrators to fill: what a node may do, the Node authorizer says.
  'system:node': [],
  'system:node-proxier': [user('system:kube-proxy')],
  'system:public-info-viewer': [group('system:authenticated'), group('system:unauthenticated')],
  'system:service-account-issuer-discovery': [group('system:serviceaccounts')],
  'system:volume-scheduler': [user('system:kube-scheduler')],
  'caisson:network': [user('system:kube-proxy')],
  'caisson:control-plane': [user('system:kube-controller-manager')],
  'caisson:sandbox-controller': [serviceAccount(CONTROLLER_NAMESPACE, CONTROLLER_NAME)],
  'caisson:sandbox-router': [serviceAccount(CONTROLLER_NAMESPACE, 'sandbox-router')],
}

const NAMESPACED_BINDINGS: Readonly<Record<string, { role: string; subjects: readonly Subject[] }>> = {
  'kube-system/system::extension-apiserver-authentication-reader': {
    role: 'extension-apiserver-authentication-reader',
    subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler')],
  },
  'kube-system/system::leader-locking-kube-controller-manager': {
    role: 'system::leader-locking-kube-controller-manager',
    subjects: [user('system:kube-controller-manager'), serviceAccount('kube-system', 'kube-controller-manager')],
  },
  'kube-system/system::leader-locking-kube-scheduler': {
    role: 'system::leader-locking-kube-scheduler',
    subjects: [user('system:kube-scheduler'), serviceAccount('kube-system', 'kube-scheduler')],
  },
}

/** All bootstrap objects by resource, without uid and the like. */
function bootstrapPolicy(): { resource: string; objects: KubeObject[] }[] {
  const plain = Object.entries(CLUSTER_ROLES).map(([name, rules]) => clusterRole(name, { rules }))
  const controllers = Object.entries(CONTROLLER_ROLES).map(([name, rules]) =>
    clusterRole(`system:controller:${name}`, { rules }),
  )
  const clusterRoles = [...plain, ...controllers]
  // In this order, since admin takes in edit, and edit view.
  for (const name of ['view', 'edit', 'admin'] as const) {
    const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { [`${AGGREGATE}${name}`]: 'true' } }] }
    const role = clusterRole(name, { aggregationRule, rules: [] })
    clusterRoles.push({ ...role, rules: aggregatedRules(role, clusterRoles) })
  }
  return [
    { resource: ROLE_RESOURCES.clusterRoles, objects: clusterRoles },
    {
      resource: ROLE_RESOURCES.clusterRoleBindings,
      objects: [
        ...Object.entries(CLUSTER_BINDINGS).map(([name, subjects]) => clusterRoleBinding(name, subjects)),
        ...Object.keys(CONTROLLER_ROLES).map((name) =>
          clusterRoleBinding(`system:controller:${name}`, [serviceAccount('kube-system', name)]),
        ),
      ],
    },
    {
      resource: ROLE_RESOURCES.roles,
      objects: Object.entries(NAMESPACED_ROLES).map(([key, rules]) => ({
        apiVersion: API_VERSION,
        kind: 'Role',
        metadata: { ...namespaced(key), ...bootstrapMetadata() },
        rules,
      })),
    },
    {
      resource: ROLE_RESOURCES.roleBindings,
      objects: Object.entries(NAMESPACED_BINDINGS).map(([key, { role, subjects }]) => ({
        apiVersion: API_VERSION,
        kind: 'RoleBinding',
        metadata: { ...namespaced(key), ...bootstrapMetadata() },
        roleRef: { apiGroup: API_GROUP, kind: 'Role', name: role },
        subjects,
      })),
    },
  ]
}

/**
 * Writes what is missing of the bootstrap policy, in one transaction: on each start, as kube-apiserver does. What an
 * administrator added stays; an object annotated `autoupdate: "false"` is left alone. Writes nothing when complete.
 */
export async function ensureBootstrapPolicy(store: Store, { now }: { now: () => number }): Promise<void> {
  const expected = bootstrapPolicy()
  const pending = expected.some(({ resource, objects }) =>
    objects.some(
      (object) => reconciled(store.get(resource, object.metadata.namespace, nameOf(object)), object) !== undefined,
    ),
  )
  if (!pending) return
  const creationTimestamp = new Date(now()).toISOString().replace(/\.\d+Z$/, 'Z')
  await store.write((transaction: Transaction) => {
    for (const { resource, objects } of expected) {
      for (const object of objects) {
        const existing = transaction.get(resource, object.metadata.namespace, nameOf(object))
        const next = reconciled(existing, object)
        if (!next) continue
        const created = existing ? {} : { uid: randomUUID(), creationTimestamp }
        transaction.put(resource, structuredClone({ ...next, metadata: { ...next.metadata, ...created } }))
      }
    }
  })
}

/** What has to be written so that `existing` holds all of `expected`; undefined where nothing has to. */
function reconciled(existing: KubeObject | undefined, expected: KubeObject): KubeObject | undefined {
  if (!existing) return expected
  if (existing.metadata.annotations?.[AUTO_UPDATE] === 'false') return undefined
  const labels = { ...expected.metadata.labels, ...existing.metadata.labels }
  const annotations = { ...expected.metadata.annotations, ...existing.metadata.annotations }
  const added = 'roleRef' in expected ? addedSubjects(existing, expected) : addedRules(existing, expected)
  const sameMetadata =
    sizeOf(labels) === sizeOf(existing.metadata.labels) && sizeOf(annotations) === sizeOf(existing.metadata.annotations)
  if (!added && sameMetadata) return undefined
  return { ...existing, ...added, metadata: { ...existing.metadata, labels, annotations } }
}

function addedRules(existing: KubeObject, expected: KubeObject): { rules: PolicyRule[] } | undefined {
  // The rules of an aggregated role are the aggregation's to write.
  if (expected.aggregationRule) return undefined
  const missing = uncovered(rulesOf(existing), rulesOf(expected)) ?? rulesOf(expected)
  return missing.length === 0 ? undefined : { rules: [...rulesOf(existing), ...missing] }
}

/** What the first versions bound, and no version shall bind any more. */
const RETIRED: Readonly<Record<string, string>> = { 'system:node': 'system:nodes' }

function addedSubjects(existing: KubeObject, expected: KubeObject): { subjects: Subject[] } | undefined {
  const all = (existing.subjects as Subject[] | undefined) ?? []
  const held = all.filter(({ kind, name }) => kind !== 'Group' || name !== RETIRED[nameOf(existing)])
  const missing = (expected.subjects as Subject[]).filter(
    (subject) =>
      !held.some(
        ({ kind, name, namespace }) =>
          kind === subject.kind && name === subject.name && (namespace ?? '') === (subject.namespace ?? ''),
      ),
  )
  return missing.length === 0 && held.length === all.length ? undefined : { subjects: [...held, ...missing] }
}

function clusterRole(name: string, body: { rules: readonly PolicyRule[]; aggregationRule?: object }): KubeObject {
  const into = AGGREGATED_INTO[name]
  const { labels, annotations } = bootstrapMetadata()
  return {
    apiVersion: API_VERSION,
    kind: 'ClusterRole',
    metadata: { name, labels: { ...labels, ...(into && { [`${AGGREGATE}${into}`]: 'true' }) }, annotations },
    ...body,
  }
}

function clusterRoleBinding(name: string, subjects: readonly Subject[]): KubeObject {
  const roleRef: RoleRef = { apiGroup: API_GROUP, kind: 'ClusterRole', name }
  const metadata = { name, ...bootstrapMetadata() }
  return { apiVersion: API_VERSION, kind: 'ClusterRoleBinding', metadata, roleRef, subjects }
}

function bootstrapMetadata() {
  return { labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' }, annotations: { [AUTO_UPDATE]: 'true' } }
}

function namespaced(key: string): { namespace: string; name: string } {
  const [namespace = '', name = ''] = key.split('/')
  return { namespace, name }
}

function user(name: string): Subject {
  return { apiGroup: API_GROUP, kind: 'User', name }
}

function group(name: string): Subject {
  return { apiGroup: API_GROUP, kind: 'Group', name }
}

function serviceAccount(namespace: string, name: string): Subject {
  return { kind: 'ServiceAccount', name, namespace }
}

function nameOf(object: KubeObject): string {
  return object.metadata.name ?? ''
}

function sizeOf(map: Record<string, string> | undefined): number {
  return Object.keys(map ?? {}).length
}
