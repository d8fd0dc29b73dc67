/** A store with a small cluster in it, and admission over it, for tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject, UserInfo } from '@caisson/api'
import { createAdmission } from '../admission/admit.ts'
import { createAuthorizer } from '../authz/authorizer.ts'
import { ensureBootstrapPolicy } from '../authz/bootstrap-policy.ts'
import type { Resource } from '../registry/resource.ts'
import type { StatusError } from '../status-error.ts'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'

export interface Given extends Partial<Omit<AdmissionRequest, 'resource' | 'object'>> {
  /** Plural and group; pods where not given. */
  resource?: string
  object?: KubeObject
}

export interface AdmittedCluster extends AsyncDisposable {
  store: Store
  /** Admits a copy of the object, which shares what is frozen in it, and returns it with the warnings. */
  admit(given: Given): { object: KubeObject | undefined; warnings: string[] }
  /** `admitted`, or the code and the message. */
  refusal(given: Given): string
  /** The spec of what was admitted. */
  specOf(given: Given): Record<string, unknown>
}

const ALICE: UserInfo = { username: 'alice', groups: ['system:authenticated'] }

export async function startAdmittedCluster(): Promise<AdmittedCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'admission-'))
  const store = openStore({ directory })
  await ensureBootstrapPolicy(store, { now: () => 0 })
  const authorizer = createAuthorizer(store)
  const admission = createAdmission({ store, authorizer, now: Date.now, registry: () => ({ all: () => [] }) })
  await fill(store)

  function admit(given: Given): { object: KubeObject | undefined; warnings: string[] } {
    const { resource = 'pods', object: original, ...rest } = given
    const [plural = '', ...group] = resource.split('.')
    const warnings: string[] = []
    const copy = privateCopy(original)
    const request: AdmissionRequest = {
      operation: 'CREATE',
      // Admission reads no more of a resource than its name.
      resource: { plural, group: group.join('.') } as Resource,
      subresource: '',
      namespace: 'a',
      name: copy?.metadata.name ?? '',
      oldObject: undefined,
      user: ALICE,
      dryRun: false,
      transaction: undefined,
      warn: (message) => warnings.push(message),
      ...rest,
      object: copy,
    }
    admission.admit(request)
    admission.confirmGrants(request)
    // Validation comes between the two; these objects are valid.
    if (request.operation !== 'DELETE') admission.admitValidated(request)
    return { object: copy, warnings }
  }

  return {
    store,
    admit,
    refusal(given) {
      try {
        admit(given)
        return 'admitted'
      } catch (error) {
        return `${(error as StatusError).code} ${(error as StatusError).message}`
      }
    },
    specOf: (given) => admit(given).object?.spec as Record<string, unknown>,
    async [Symbol.asyncDispose]() {
      authorizer[Symbol.dispose]()
      await store[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}

/** As after a patch: what that did not touch is the stored object's own, and frozen. */
function privateCopy<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value)) return value.map(privateCopy) as T
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, privateCopy(member)])) as T
}

async function fill(store: Store): Promise<void> {
  const put = (resource: string, objects: readonly KubeObject[]): Promise<void> =>
    store.write((transaction) => {
      for (const one of objects) transaction.put(resource, structuredClone(one))
    })
  const namespace = (name: string, labels: Record<string, string> = {}, phase = 'Active') =>
    object('Namespace', name, { metadata: { labels }, status: { phase } })
  const level = (name: string) => ({ 'pod-security.kubernetes.io/enforce': name })
  await put('namespaces', [
    namespace('a'),
    namespace('kube-system'),
    namespace('kube-node-lease'),
    namespace('open', level('privileged')),
    namespace('tight', level('restricted')),
    namespace('warned', {
      'pod-security.kubernetes.io/warn': 'restricted',
      'pod-security.kubernetes.io/warn-version': 'v1.7',
    }),
    namespace('odd', level('sloppy')),
    namespace('going', {}, 'Terminating'),
  ])
  await put('serviceaccounts', [
    object('ServiceAccount', 'default', { metadata: { namespace: 'a' } }),
    object('ServiceAccount', 'quiet', {
      metadata: { namespace: 'a' },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'registry' }],
    }),
    object('ServiceAccount', 'limited', {
      metadata: { namespace: 'a', annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
      secrets: [{ name: 'known' }],
    }),
  ])
  await put('runtimeclasses.node.k8s.io', [
    object('RuntimeClass', 'gvisor', { handler: 'runsc' }),
    object('RuntimeClass', 'kata', {
      handler: 'kata',
      overhead: { podFixed: { memory: '160Mi', cpu: '250m' } },
      scheduling: { nodeSelector: { kata: 'yes' }, tolerations: [{ key: 'kata', operator: 'Exists' }] },
    }),
  ])
  await put('priorityclasses.scheduling.k8s.io', [
    object('PriorityClass', 'high', { value: 1000, preemptionPolicy: 'Never' }),
  ])
  await put('storageclasses.storage.k8s.io', [
    object('StorageClass', 'old', {
      metadata: {
        creationTimestamp: '2025-01-01T00:00:00Z',
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
    }),
    object('StorageClass', 'standard', {
      metadata: {
        creationTimestamp: '2026-01-01T00:00:00Z',
        annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
      },
    }),
    object('StorageClass', 'elastic', { allowVolumeExpansion: true }),
  ])
  const ingressClass = (name: string, creationTimestamp: string, isDefault: string) =>
    object('IngressClass', name, {
      metadata: { creationTimestamp, annotations: { 'ingressclass.kubernetes.io/is-default-class': isDefault } },
    })
  await put('ingressclasses.networking.k8s.io', [
    ingressClass('newer', '2026-01-01T00:00:00Z', 'true'),
    ingressClass('newest', '2026-02-01T00:00:00Z', 'false'),
    ingressClass('old', '2025-01-01T00:00:00Z', 'true'),
  ])
  await put('nodes', [object('Node', 'n', { metadata: { uid: 'node-1' } })])
  await put('pods', [
    object('Pod', 'here', {
      metadata: { namespace: 'a', uid: 'pod-1' },
      spec: { nodeName: 'n', volumes: tokenVolumes('') },
    }),
    object('Pod', 'there', { metadata: { namespace: 'a', uid: 'pod-2' }, spec: { nodeName: 'other' } }),
    object('Pod', 'loud', {
      metadata: { namespace: 'warned' },
      spec: { containers: [{ name: 'c', securityContext: { privileged: true } }] },
    }),
  ])
}

export function object(
  kind: string,
  name: string,
  { metadata, ...rest }: Record<string, unknown> & { metadata?: object } = {},
): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, ...metadata }, ...rest }
}

function tokenVolumes(audience: string): object[] {
  return [
    { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token', ...(audience && { audience }) } }] } },
  ]
}

export function pod(spec: object = {}, metadata: object = {}): KubeObject {
  return object('Pod', 'p', {
    metadata: { namespace: 'a', ...metadata },
    spec: { containers: [{ name: 'c' }], ...spec },
  })
}
