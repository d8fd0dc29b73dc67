import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AdmittedCluster, type Given, object, pod, startAdmittedCluster } from '../../testing/admitted-cluster.ts'

let cluster: AdmittedCluster
beforeAll(async () => {
  cluster = await startAdmittedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

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
    expect(cluster.refusal({ namespace, object: pod(spec, { namespace }) })).toBe(expected)
  })

  test('the warn level warns', () => {
    expect(
      cluster.admit({
        namespace: 'warned',
        object: pod({ volumes: [{ name: 'v', nfs: {} }] }, { namespace: 'warned' }),
      }).warnings,
    ).toEqual([
      'would violate PodSecurity "restricted:v1.7": restricted volume types (volume "v" uses restricted volume type "nfs"), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)',
    ])
    expect(cluster.admit({ namespace: 'open', object: pod(privileged, { namespace: 'open' }) }).warnings).toEqual([])
  })

  test.each([
    ['sandboxes.agents.x-k8s.io', { spec: { podTemplate: { spec: privileged } } }],
    ['sandboxtemplates.extensions.agents.x-k8s.io', { spec: { podTemplate: { spec: privileged } } }],
    ['deployments.apps', { spec: { template: { spec: privileged } } }],
    ['cronjobs.batch', { spec: { jobTemplate: { spec: { template: { spec: privileged } } } } }],
  ])('a template in %s is warned about, and not refused', (resource, body) => {
    expect(cluster.admit({ resource, object: object('X', 'x', body) }).warnings).toEqual([
      'would violate PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)',
    ])
  })

  test("a template's annotations count beside a spec that was looked at already", () => {
    const spec = Object.freeze({ containers: [{ name: 'c' }] })
    const warningsWith = (annotations: Record<string, string>): readonly string[] => {
      const podTemplate = { metadata: { annotations }, spec }
      const given = object('Sandbox', 'x', { spec: { podTemplate } })
      return cluster.admit({ resource: 'sandboxes.agents.x-k8s.io', object: given }).warnings
    }
    expect(warningsWith({ a: 'b' })).toEqual([])
    expect(warningsWith({ 'container.apparmor.security.beta.kubernetes.io/c': 'unconfined' })).toHaveLength(1)
    expect(warningsWith({})).toEqual([])
  })

  test('updates are looked at where they matter', () => {
    const before = pod(privileged)
    const relabelled = pod(privileged, { labels: { x: 'y' } })
    const debugged = pod({ ephemeralContainers: [{ name: 'd', securityContext: { privileged: true } }] })
    expect(cluster.refusal({ operation: 'UPDATE', object: relabelled, oldObject: before })).toBe('admitted')
    expect(cluster.refusal({ operation: 'UPDATE', subresource: 'status', object: before, oldObject: pod() })).toBe(
      'admitted',
    )
    expect(
      cluster.refusal({ operation: 'UPDATE', subresource: 'ephemeralcontainers', object: debugged, oldObject: pod() }),
    ).toContain('violates PodSecurity "baseline:latest": privileged (container "d"')
    const reimaged = pod({ containers: [{ name: 'c', image: 'new', securityContext: { privileged: true } }] })
    expect(cluster.refusal({ operation: 'UPDATE', object: reimaged, oldObject: before })).toContain(
      'violates PodSecurity',
    )
  })

  test('labels of a namespace have to be right, and a stricter level names the Pods that do not meet it', () => {
    const labelled = (labels: Record<string, string>) => object('Namespace', 'warned', { metadata: { labels } })
    const given: Given = { resource: 'namespaces', namespace: 'warned' }
    expect(cluster.refusal({ ...given, object: labelled({ 'pod-security.kubernetes.io/enforce': 'sloppy' }) })).toBe(
      '422 Namespace "warned" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "sloppy": must be one of privileged, baseline, restricted',
    )
    expect(cluster.refusal({ ...given, object: labelled({ 'pod-security.kubernetes.io/warn-version': '1.30' }) })).toBe(
      '422 Namespace "warned" is invalid: metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"',
    )
    const { warnings } = cluster.admit({
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
