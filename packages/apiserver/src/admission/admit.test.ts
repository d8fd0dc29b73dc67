import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject, UserInfo } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Authorizer, createAuthorizer } from '../authz/authorizer.ts'
import { ensureBootstrapPolicy } from '../authz/bootstrap-policy.ts'
import type { Resource } from '../registry/resource.ts'
import type { StatusError } from '../status-error.ts'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest } from '../verbs/call.ts'
import { type Admission, createAdmission } from './admit.ts'
import { ensureSystemPriorityClasses } from './system-priority-classes.ts'

let directory: string
let store: Store
let authorizer: Authorizer
let admission: Admission

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'admission-'))
  store = openStore({ directory })
  await ensureBootstrapPolicy(store, { now: () => 0 })
  authorizer = createAuthorizer(store)
  admission = createAdmission({ store, authorizer })
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
})

afterAll(async () => {
  authorizer[Symbol.dispose]()
  await store[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

function object(
  kind: string,
  name: string,
  { metadata, ...rest }: Record<string, unknown> & { metadata?: object } = {},
): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, ...metadata }, ...rest }
}

function put(resource: string, objects: readonly KubeObject[]): Promise<unknown> {
  return store.write((transaction) => {
    for (const one of objects) transaction.put(resource, structuredClone(one))
  })
}

function tokenVolumes(audience: string): object[] {
  return [
    { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token', ...(audience && { audience }) } }] } },
  ]
}

const alice: UserInfo = { username: 'alice', groups: ['system:authenticated'] }
const node: UserInfo = { username: 'system:node:n', groups: ['system:nodes', 'system:authenticated'] }

interface Given extends Partial<Omit<AdmissionRequest, 'resource' | 'object'>> {
  resource?: string
  object?: KubeObject
}

/** Admits a copy of the object and returns it with the warnings. */
function admit(given: Given): { object: KubeObject | undefined; warnings: string[] } {
  const { resource = 'pods', object: original, ...rest } = given
  const [plural = '', ...group] = resource.split('.')
  const warnings: string[] = []
  const copy = structuredClone(original)
  const request: AdmissionRequest = {
    operation: 'CREATE',
    // Admission reads no more of a resource than its name.
    resource: { plural, group: group.join('.') } as Resource,
    subresource: '',
    namespace: 'a',
    name: copy?.metadata.name ?? '',
    oldObject: undefined,
    user: alice,
    dryRun: false,
    warn: (message) => warnings.push(message),
    ...rest,
    object: copy,
  }
  admission.admit(request)
  // Validation comes between the two; these objects are valid.
  if (request.operation !== 'DELETE') admission.admitValidated(request)
  return { object: copy, warnings }
}

function refusal(given: Given): string {
  try {
    admit(given)
    return 'admitted'
  } catch (error) {
    return `${(error as StatusError).code} ${(error as StatusError).message}`
  }
}

function pod(spec: object = {}, metadata: object = {}): KubeObject {
  return object('Pod', 'p', {
    metadata: { namespace: 'a', ...metadata },
    spec: { containers: [{ name: 'c' }], ...spec },
  })
}

function specOf(given: Given): Record<string, unknown> {
  return admit(given).object?.spec as Record<string, unknown>
}

describe('namespaces', () => {
  test.each<[given: Given, expected: string]>([
    [{ namespace: 'nowhere', object: pod() }, '404 namespaces "nowhere" not found'],
    [
      { namespace: 'nowhere', operation: 'UPDATE', resource: 'configmaps', object: object('ConfigMap', 'x') },
      '404 namespaces "nowhere" not found',
    ],
    [{ namespace: 'nowhere', operation: 'DELETE', resource: 'configmaps' }, 'admitted'],
    [
      { namespace: 'going', resource: 'configmaps', object: object('ConfigMap', 'x') },
      '403 configmaps "x" is forbidden: unable to create new content in namespace going because it is being terminated',
    ],
    [{ namespace: 'going', operation: 'UPDATE', resource: 'configmaps', object: object('ConfigMap', 'x') }, 'admitted'],
    [
      {
        namespace: 'going',
        resource: 'sandboxes.agents.x-k8s.io',
        object: object('Sandbox', '', { metadata: { generateName: 'x-' } }),
      },
      '403 sandboxes.agents.x-k8s.io "x-" is forbidden: unable to create new content in namespace going because it is being terminated',
    ],
    [{ namespace: '', resource: 'nodes', object: object('Node', 'x') }, 'admitted'],
    [{ namespace: 'x', resource: 'namespaces', object: object('Namespace', 'x') }, 'admitted'],
    [
      { namespace: '', operation: 'DELETE', resource: 'namespaces', name: 'default' },
      '403 namespaces "default" is forbidden: this namespace may not be deleted',
    ],
    [{ namespace: '', operation: 'DELETE', resource: 'namespaces', name: 'a' }, 'admitted'],
    [
      {
        namespace: 'nowhere',
        resource: 'localsubjectaccessreviews.authorization.k8s.io',
        object: object('LocalSubjectAccessReview', ''),
      },
      'admitted',
    ],
  ])('%j', (given, expected) => {
    expect(refusal(given)).toBe(expected)
  })

  test('a namespace that goes away says so in the cause', () => {
    expect(() => admit({ namespace: 'going', resource: 'secrets', object: object('Secret', 'x') })).toThrow(
      expect.objectContaining({
        details: {
          name: 'x',
          kind: 'secrets',
          causes: [
            {
              reason: 'NamespaceTerminating',
              message: 'namespace going is being terminated',
              field: 'metadata.namespace',
            },
          ],
        },
      }),
    )
  })
})

describe('service accounts', () => {
  test('a Pod gets the default account and its token', () => {
    const spec = specOf({ object: pod({ initContainers: [{ name: 'i' }] }) })
    const [volume] = spec.volumes as { name: string }[]
    const mount = { name: volume?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }
    expect(volume?.name).toMatch(/^kube-api-access-[a-z0-9]{5}$/)
    expect(spec).toEqual({
      serviceAccountName: 'default',
      serviceAccount: 'default',
      initContainers: [{ name: 'i', volumeMounts: [mount] }],
      containers: [{ name: 'c', volumeMounts: [mount] }],
      volumes: [
        {
          name: volume?.name,
          projected: {
            defaultMode: 420,
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
              { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
              {
                downwardAPI: {
                  items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
                },
              },
            ],
          },
        },
      ],
      priority: 0,
      preemptionPolicy: 'PreemptLowerPriority',
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
        { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      ],
    })
  })

  test('no token where the Pod, its account or a mount of its own says so', () => {
    expect(specOf({ object: pod({ automountServiceAccountToken: false }) }).volumes).toBeUndefined()
    expect(specOf({ object: pod({ serviceAccountName: 'quiet' }) })).toMatchObject({
      serviceAccountName: 'quiet',
      imagePullSecrets: [{ name: 'registry' }],
    })
    expect(specOf({ object: pod({ serviceAccountName: 'quiet' }) }).volumes).toBeUndefined()
    expect(
      specOf({ object: pod({ serviceAccountName: 'quiet', automountServiceAccountToken: true }) }).volumes,
    ).toHaveLength(1)
    const own = { mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', name: 'mine' }
    const covered = pod({ containers: [{ name: 'c', volumeMounts: [own] }], volumes: [{ name: 'mine', emptyDir: {} }] })
    expect(specOf({ object: covered }).volumes).toEqual([{ name: 'mine', emptyDir: {} }])
  })

  test('a default account that is still to be made counts as one without settings', () => {
    expect(specOf({ namespace: 'kube-system', object: pod({}, { namespace: 'kube-system' }) }).serviceAccountName).toBe(
      'default',
    )
  })

  test.each<[spec: object, expected: string]>([
    [
      { serviceAccountName: 'nobody' },
      '403 pods "p" is forbidden: error looking up service account a/nobody: serviceaccount "nobody" not found',
    ],
    [
      { serviceAccount: 'nobody' },
      '403 pods "p" is forbidden: error looking up service account a/nobody: serviceaccount "nobody" not found',
    ],
    [
      { serviceAccountName: 'limited', volumes: [{ name: 'v', secret: { secretName: 'other' } }] },
      '403 pods "p" is forbidden: volume with secret.secretName="other" is not allowed because service account limited does not reference that secret',
    ],
    [{ serviceAccountName: 'limited', volumes: [{ name: 'v', secret: { secretName: 'known' } }] }, 'admitted'],
    [
      {
        serviceAccountName: 'limited',
        containers: [{ name: 'c', env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 'other', key: 'k' } } }] }],
      },
      '403 pods "p" is forbidden: container c with envVar E referencing secret.secretName="other" is not allowed because service account limited does not reference that secret',
    ],
    [
      { serviceAccountName: 'limited', imagePullSecrets: [{ name: 'other' }] },
      '403 pods "p" is forbidden: imagePullSecrets[0].name="other" is not allowed because service account limited does not reference that imagePullSecret',
    ],
  ])('%j', (spec, expected) => {
    expect(refusal({ object: pod(spec) })).toBe(expected)
  })
})

describe('runtime classes, priorities, tolerations', () => {
  test('a class that is not there is refused as Kubernetes does', () => {
    expect(refusal({ object: pod({ runtimeClassName: 'nope' }) })).toBe(
      '403 pods "p" is forbidden: pod rejected: RuntimeClass "nope" not found',
    )
    expect(refusal({ object: pod({ runtimeClassName: 'gvisor' }) })).toBe('admitted')
  })

  test('a class brings its overhead, node selector and tolerations', () => {
    const spec = specOf({ object: pod({ runtimeClassName: 'kata', nodeSelector: { disk: 'ssd' } }) })
    expect(spec).toMatchObject({
      overhead: { memory: '160Mi', cpu: '250m' },
      nodeSelector: { disk: 'ssd', kata: 'yes' },
    })
    expect(spec.tolerations).toContainEqual({ key: 'kata', operator: 'Exists' })
    expect(refusal({ object: pod({ runtimeClassName: 'kata', overhead: { memory: '163840Ki', cpu: '0.25' } }) })).toBe(
      'admitted',
    )
  })

  test.each<[spec: object, expected: string]>([
    [
      { runtimeClassName: 'kata', overhead: { memory: '1Mi', cpu: '250m' } },
      `403 pods "p" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`,
    ],
    [
      { overhead: { memory: '1Mi' } },
      '403 pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
    ],
    [
      { runtimeClassName: 'kata', nodeSelector: { kata: 'no' } },
      '403 pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no',
    ],
    [{ priorityClassName: 'nope' }, '403 pods "p" is forbidden: no PriorityClass with name nope was found'],
    [
      { priority: 7 },
      '403 pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name',
    ],
    [
      { priorityClassName: 'high', preemptionPolicy: 'PreemptLowerPriority' },
      '403 pods "p" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name',
    ],
  ])('%j', (spec, expected) => {
    expect(refusal({ object: pod(spec) })).toBe(expected)
  })

  test('a priority class gives its number, and an update keeps it', () => {
    expect(specOf({ object: pod({ priorityClassName: 'high' }) })).toMatchObject({
      priority: 1000,
      preemptionPolicy: 'Never',
    })
    const before = pod({ priority: 1000, preemptionPolicy: 'Never' })
    expect(specOf({ operation: 'UPDATE', object: pod(), oldObject: before })).toMatchObject({ priority: 1000 })
  })

  test('a toleration of everything is not added to', () => {
    const tolerations = [{ operator: 'Exists' }]
    expect(specOf({ object: pod({ tolerations }) }).tolerations).toEqual(tolerations)
  })
})

test('the system classes are made once', async () => {
  await ensureSystemPriorityClasses(store, { now: () => 0 })
  const { revision } = store
  await ensureSystemPriorityClasses(store, { now: () => 1 })
  expect(store.revision).toBe(revision)
  expect(specOf({ object: pod({ priorityClassName: 'system-node-critical' }) }).priority).toBe(2_000_001_000)
})

describe('storage', () => {
  const claim = (spec: object, rest: object = {}) =>
    object('PersistentVolumeClaim', 'c', { metadata: { namespace: 'a' }, spec, ...rest })

  test('a claim gets the newest default class, and claims and volumes are protected', () => {
    expect(admit({ resource: 'persistentvolumeclaims', object: claim({}) }).object).toMatchObject({
      metadata: { finalizers: ['kubernetes.io/pvc-protection'] },
      spec: { storageClassName: 'standard' },
    })
    expect(specOf({ resource: 'persistentvolumeclaims', object: claim({ storageClassName: '' }) })).toEqual({
      storageClassName: '',
    })
    const volume = admit({
      resource: 'persistentvolumes',
      namespace: '',
      object: object('PersistentVolume', 'v'),
    }).object
    expect(volume?.metadata.finalizers).toEqual(['kubernetes.io/pv-protection'])
  })

  test.each([
    [
      'standard',
      'Bound',
      '403 persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    ],
    [
      'elastic',
      'Pending',
      '403 persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded',
    ],
    ['elastic', 'Bound', 'admitted'],
  ])('growing a claim of %s that is %s', (storageClassName, phase, expected) => {
    const sized = (storage: string) =>
      claim({ storageClassName, resources: { requests: { storage } } }, { status: { phase } })
    const given: Given = { resource: 'persistentvolumeclaims', operation: 'UPDATE', oldObject: sized('1Gi') }
    expect(refusal({ ...given, object: sized('2Gi') })).toBe(expected)
    expect(refusal({ ...given, object: sized('1024Mi') })).toBe('admitted')
  })
})

describe('pod security', () => {
  const privileged = { containers: [{ name: 'c', securityContext: { privileged: true } }] }

  test.each<[namespace: string, spec: object, expected: string]>([
    [
      'a',
      privileged,
      '403 pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)',
    ],
    ['kube-system', privileged, 'admitted'],
    ['open', privileged, 'admitted'],
    ['a', {}, 'admitted'],
    [
      'odd',
      { hostPID: true, containers: [] },
      '403 pods "p" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostPID=true)',
    ],
  ])('in %s: %j', (namespace, spec, expected) => {
    expect(refusal({ namespace, object: pod(spec, { namespace }) })).toBe(expected)
  })

  test('the warn level warns', () => {
    expect(
      admit({ namespace: 'warned', object: pod({ volumes: [{ name: 'v', nfs: {} }] }, { namespace: 'warned' }) })
        .warnings,
    ).toEqual([
      'would violate PodSecurity "restricted:v1.7": restricted volume types (volume "v" uses restricted volume type "nfs"), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
    ])
    expect(admit({ namespace: 'open', object: pod(privileged, { namespace: 'open' }) }).warnings).toEqual([])
  })

  test.each([
    ['sandboxes.agents.x-k8s.io', { spec: { podTemplate: { spec: privileged } } }],
    ['sandboxtemplates.extensions.agents.x-k8s.io', { spec: { podTemplate: { spec: privileged } } }],
    ['deployments.apps', { spec: { template: { spec: privileged } } }],
    ['cronjobs.batch', { spec: { jobTemplate: { spec: { template: { spec: privileged } } } } }],
  ])('a template in %s is warned about, and not refused', (resource, body) => {
    expect(admit({ resource, object: object('X', 'x', body) }).warnings).toEqual([
      'would violate PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)',
    ])
  })

  test('updates are looked at where they matter', () => {
    const before = pod(privileged)
    const relabelled = pod(privileged, { labels: { x: 'y' } })
    const debugged = pod({ ephemeralContainers: [{ name: 'd', securityContext: { privileged: true } }] })
    expect(refusal({ operation: 'UPDATE', object: relabelled, oldObject: before })).toBe('admitted')
    expect(refusal({ operation: 'UPDATE', subresource: 'status', object: before, oldObject: pod() })).toBe('admitted')
    expect(
      refusal({ operation: 'UPDATE', subresource: 'ephemeralcontainers', object: debugged, oldObject: pod() }),
    ).toContain('violates PodSecurity "baseline:latest": privileged (container "d"')
    const reimaged = pod({ containers: [{ name: 'c', image: 'new', securityContext: { privileged: true } }] })
    expect(refusal({ operation: 'UPDATE', object: reimaged, oldObject: before })).toContain('violates PodSecurity')
  })

  test('labels of a namespace have to be right, and a stricter level names the Pods that do not meet it', () => {
    const labelled = (labels: Record<string, string>) => object('Namespace', 'warned', { metadata: { labels } })
    const given: Given = { resource: 'namespaces', namespace: 'warned' }
    expect(refusal({ ...given, object: labelled({ 'pod-security.kubernetes.io/enforce': 'sloppy' }) })).toBe(
      '422 Namespace "warned" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "sloppy": must be one of privileged, baseline, restricted',
    )
    expect(refusal({ ...given, object: labelled({ 'pod-security.kubernetes.io/warn-version': '1.30' }) })).toBe(
      '422 Namespace "warned" is invalid: metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"',
    )
    const { warnings } = admit({
      ...given,
      operation: 'UPDATE',
      oldObject: labelled({ 'pod-security.kubernetes.io/enforce': 'privileged' }),
      object: labelled({ 'pod-security.kubernetes.io/enforce': 'baseline' }),
    })
    expect(warnings).toEqual([
      'existing pods in namespace "warned" violate the new PodSecurity enforce level "baseline:latest"',
      'loud: privileged',
    ])
  })
})

describe('nodes', () => {
  const at = (name: string) =>
    object('Pod', name, { metadata: { namespace: 'a' }, spec: { nodeName: name === 'here' ? 'n' : 'other' } })
  const token = (uid: string, audiences: string[] = []) =>
    object('TokenRequest', 'x', {
      spec: { audiences, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'here', uid } },
    })

  test.each<[name: string, given: Given, expected: string]>([
    [
      'own Pod status',
      { operation: 'UPDATE', subresource: 'status', object: at('here'), oldObject: at('here') },
      'admitted',
    ],
    [
      'the status of a Pod elsewhere',
      { operation: 'UPDATE', subresource: 'status', object: at('there'), oldObject: at('there') },
      '403 pods "there" is forbidden: node "n" can only update pod status for pods with spec.nodeName set to itself',
    ],
    ['deleting its own Pod', { operation: 'DELETE', name: 'here', oldObject: at('here') }, 'admitted'],
    [
      'deleting a Pod elsewhere',
      { operation: 'DELETE', name: 'there', oldObject: at('there') },
      '403 pods "there" is forbidden: node "n" can only delete pods with spec.nodeName set to itself',
    ],
    [
      'a new Pod',
      { object: pod({ nodeName: 'n' }) },
      '403 pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n" can only create mirror pods',
    ],
    [
      'a binding',
      { subresource: 'binding', name: 'here', object: object('Binding', 'here') },
      `403 pods "here" is forbidden: unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`,
    ],
    [
      'itself',
      {
        resource: 'nodes',
        namespace: '',
        object: object('Node', 'n', {
          metadata: { labels: { 'kubernetes.io/os': 'linux', 'gvisor.enabled': 'true' } },
        }),
      },
      'admitted',
    ],
    [
      'another node',
      { resource: 'nodes', namespace: '', object: object('Node', 'm') },
      '403 nodes "m" is forbidden: node "n" is not allowed to modify node "m"',
    ],
    [
      'a label that steers Pods',
      {
        resource: 'nodes',
        namespace: '',
        object: object('Node', 'n', { metadata: { labels: { 'node-restriction.kubernetes.io/pci': 'x' } } }),
      },
      '403 nodes "n" is forbidden: node "n" is not allowed to set the following labels: node-restriction.kubernetes.io/pci',
    ],
    [
      'its own taints',
      {
        resource: 'nodes',
        namespace: '',
        operation: 'UPDATE',
        object: object('Node', 'n', { spec: {} }),
        oldObject: object('Node', 'n', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } }),
      },
      '403 nodes "n" is forbidden: node "n" is not allowed to modify taints',
    ],
    [
      'its lease',
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-node-lease', object: object('Lease', 'n') },
      'admitted',
    ],
    [
      "another node's lease",
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-node-lease', object: object('Lease', 'm') },
      '403 leases.coordination.k8s.io "m" is forbidden: can only access node lease with the same name as the requesting node',
    ],
    [
      'a lease that elects a leader',
      { resource: 'leases.coordination.k8s.io', namespace: 'kube-system', object: object('Lease', 'n') },
      '403 leases.coordination.k8s.io "n" is forbidden: can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      'the token of its Pod',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-1') },
      'admitted',
    ],
    [
      'a token for an audience that the Pod does not mount',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-1', ['vault']) },
      '403 serviceaccounts "default" is forbidden: audience "vault" not found in pod spec volume, system:node:n is not authorized to request tokens for this audience',
    ],
    [
      'the token of a Pod of before',
      { resource: 'serviceaccounts', subresource: 'token', name: 'default', object: token('pod-0') },
      '403 serviceaccounts "default" is forbidden: the UID in the bound object reference (pod-0) does not match the UID in record. The object might have been deleted and then recreated',
    ],
    [
      'a token bound to nothing',
      {
        resource: 'serviceaccounts',
        subresource: 'token',
        name: 'default',
        object: object('TokenRequest', 'x', { spec: {} }),
      },
      '403 serviceaccounts "default" is forbidden: node requested token not bound to a pod',
    ],
    [
      'a claim',
      { resource: 'persistentvolumeclaims', operation: 'UPDATE', object: object('PersistentVolumeClaim', 'c') },
      '403 persistentvolumeclaims "c" is forbidden: may only update PVC status',
    ],
    [
      'a node without a name',
      { user: { ...node, username: 'system:node:' }, object: pod() },
      '403 pods "p" is forbidden: could not determine node from user "system:node:"',
    ],
  ])('%s', (_name, given, expected) => {
    expect(refusal({ user: node, ...given })).toBe(expected)
  })

  test('one that only has the name of a node is no node', () => {
    const groups = ['system:authenticated']
    expect(refusal({ user: { username: 'system:node:n', groups }, object: pod() })).toBe('admitted')
  })

  const mirror = (owner: object, spec: object = {}) =>
    pod(
      { nodeName: 'n', ...spec },
      {
        annotations: { 'kubernetes.io/config.mirror': 'hash' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'node-1', controller: true, ...owner }],
      },
    )
  test.each<[name: string, given: KubeObject, expected: string]>([
    ['its own', mirror({}), 'admitted'],
    [
      'with a ConfigMap',
      mirror({}, { volumes: [{ name: 'v', configMap: { name: 's' } }] }),
      '403 pods "p" is forbidden: node "n" can not create pods that reference configmaps',
    ],
    [
      'with a volume of tomorrow',
      mirror({}, { volumes: [{ name: 'v', wormhole: {} }] }),
      '403 pods "p" is forbidden: node "n" can not create pods that reference wormhole volumes',
    ],
    [
      'of another node',
      mirror({ name: 'm' }),
      '403 pods "p" is forbidden: node "n" can only create pods with an owner reference set to itself',
    ],
    [
      'of a node of before',
      mirror({ uid: 'node-0' }),
      '403 pods "p" is forbidden: node n UID mismatch: expected node-0 got node-1',
    ],
  ])('a mirror Pod %s', (_name, given, expected) => {
    expect(refusal({ user: node, object: given })).toBe(expected)
  })

  test('a mirror Pod has no account, whoever makes it', () => {
    expect(refusal({ object: mirror({}, { serviceAccountName: 'default' }) })).toBe(
      '403 pods "p" is forbidden: a mirror pod may not reference service accounts',
    )
  })
})

test('roles that give more than their writer holds are refused', () => {
  const role = object('Role', 'r', {
    metadata: { namespace: 'a' },
    rules: [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }],
  })
  expect(refusal({ resource: 'roles.rbac.authorization.k8s.io', object: role })).toBe(
    '403 roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
  )
})
