import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AdmittedCluster, type Given, object, pod, startAdmittedCluster } from '../testing/admitted-cluster.ts'
import { ensureSystemPriorityClasses } from './system-priority-classes.ts'

let cluster: AdmittedCluster
beforeAll(async () => {
  cluster = await startAdmittedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

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
    expect(cluster.refusal(given)).toBe(expected)
  })

  test('a namespace that goes away says so in the cause', () => {
    expect(() => cluster.admit({ namespace: 'going', resource: 'secrets', object: object('Secret', 'x') })).toThrow(
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
    const spec = cluster.specOf({ object: pod({ initContainers: [{ name: 'i' }] }) })
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
    expect(cluster.specOf({ object: pod({ automountServiceAccountToken: false }) }).volumes).toBeUndefined()
    expect(cluster.specOf({ object: pod({ serviceAccountName: 'quiet' }) })).toMatchObject({
      serviceAccountName: 'quiet',
      imagePullSecrets: [{ name: 'registry' }],
    })
    expect(cluster.specOf({ object: pod({ serviceAccountName: 'quiet' }) }).volumes).toBeUndefined()
    expect(
      cluster.specOf({ object: pod({ serviceAccountName: 'quiet', automountServiceAccountToken: true }) }).volumes,
    ).toHaveLength(1)
    const own = { mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', name: 'mine' }
    const covered = pod({ containers: [{ name: 'c', volumeMounts: [own] }], volumes: [{ name: 'mine', emptyDir: {} }] })
    expect(cluster.specOf({ object: covered }).volumes).toEqual([{ name: 'mine', emptyDir: {} }])
  })

  test('a default account that is still to be made counts as one without settings', () => {
    expect(
      cluster.specOf({ namespace: 'kube-system', object: pod({}, { namespace: 'kube-system' }) }).serviceAccountName,
    ).toBe('default')
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
    expect(cluster.refusal({ object: pod(spec) })).toBe(expected)
  })
})

describe('runtime classes, priorities, tolerations', () => {
  test('a class that is not there is refused as Kubernetes does', () => {
    expect(cluster.refusal({ object: pod({ runtimeClassName: 'nope' }) })).toBe(
      '403 pods "p" is forbidden: pod rejected: RuntimeClass "nope" not found',
    )
    expect(cluster.refusal({ object: pod({ runtimeClassName: 'gvisor' }) })).toBe('admitted')
  })

  test('a class brings its overhead, node selector and tolerations', () => {
    const spec = cluster.specOf({ object: pod({ runtimeClassName: 'kata', nodeSelector: { disk: 'ssd' } }) })
    expect(spec).toMatchObject({
      overhead: { memory: '160Mi', cpu: '250m' },
      nodeSelector: { disk: 'ssd', kata: 'yes' },
    })
    expect(spec.tolerations).toContainEqual({ key: 'kata', operator: 'Exists' })
    expect(
      cluster.refusal({ object: pod({ runtimeClassName: 'kata', overhead: { memory: '163840Ki', cpu: '0.25' } }) }),
    ).toBe('admitted')
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
    expect(cluster.refusal({ object: pod(spec) })).toBe(expected)
  })

  test('a priority class gives its number, and an update keeps it', () => {
    expect(cluster.specOf({ object: pod({ priorityClassName: 'high' }) })).toMatchObject({
      priority: 1000,
      preemptionPolicy: 'Never',
    })
    const before = pod({ priority: 1000, preemptionPolicy: 'Never' })
    expect(cluster.specOf({ operation: 'UPDATE', object: pod(), oldObject: before })).toMatchObject({ priority: 1000 })
  })

  test('a toleration of everything is not added to', () => {
    const tolerations = [{ operator: 'Exists' }]
    expect(cluster.specOf({ object: pod({ tolerations }) }).tolerations).toEqual(tolerations)
  })
})

test('the system classes are made once', async () => {
  await ensureSystemPriorityClasses(cluster.store, { now: () => 0 })
  const { revision } = cluster.store
  await ensureSystemPriorityClasses(cluster.store, { now: () => 1 })
  expect(cluster.store.revision).toBe(revision)
  expect(cluster.specOf({ object: pod({ priorityClassName: 'system-node-critical' }) }).priority).toBe(2_000_001_000)
})

test('an Ingress that names no class gets the newest default one', () => {
  const given = (spec: object, annotations: Record<string, string> = {}) => ({
    resource: 'ingresses.networking.k8s.io',
    object: object('Ingress', 'i', { metadata: { namespace: 'a', annotations }, spec }),
  })
  expect([
    cluster.specOf(given({})),
    cluster.specOf(given({ ingressClassName: 'own' })),
    cluster.specOf(given({}, { 'kubernetes.io/ingress.class': 'own' })),
  ]).toEqual([{ ingressClassName: 'newer' }, { ingressClassName: 'own' }, {}])
})

describe('storage', () => {
  const claim = (spec: object, rest: object = {}) =>
    object('PersistentVolumeClaim', 'c', { metadata: { namespace: 'a' }, spec, ...rest })

  test('a claim gets the newest default class, and claims and volumes are protected', () => {
    expect(cluster.admit({ resource: 'persistentvolumeclaims', object: claim({}) }).object).toMatchObject({
      metadata: { finalizers: ['kubernetes.io/pvc-protection'] },
      spec: { storageClassName: 'standard' },
    })
    expect(cluster.specOf({ resource: 'persistentvolumeclaims', object: claim({ storageClassName: '' }) })).toEqual({
      storageClassName: '',
    })
    const volume = cluster.admit({
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
    expect(cluster.refusal({ ...given, object: sized('2Gi') })).toBe(expected)
    expect(cluster.refusal({ ...given, object: sized('1024Mi') })).toBe('admitted')
  })
})

test('roles that give more than their writer holds are refused', () => {
  const role = object('Role', 'r', {
    metadata: { namespace: 'a' },
    rules: [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }],
  })
  expect(cluster.refusal({ resource: 'roles.rbac.authorization.k8s.io', object: role })).toBe(
    '403 roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
  )
})
