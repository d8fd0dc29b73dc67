import { describe, expect, test } from 'vitest'
import { DEFAULT_LABEL_DOMAINS, mergedMetadata, metadataProblem, overrideConflict } from './additional-metadata.ts'

const problemOf = (metadata: { labels?: Record<string, string>; annotations?: Record<string, string> }) =>
  metadataProblem(metadata, DEFAULT_LABEL_DOMAINS)

test.each<[labels: Record<string, string>, problem: string | undefined]>([
  [{ 'sandbox.users.io/team': 'a' }, undefined],
  [{ 'more.sandbox.users.io/team': '' }, undefined],
  [
    { 'SANDBOX.users.io/team': 'a' },
    "failed to validate label \"SANDBOX.users.io/team\": invalid label key: \"SANDBOX.users.io/team\": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ],
  [
    { app: 'sandbox-router' },
    'failed to validate label "app": restricted system label value: "app"="sandbox-router" is not allowed in AdditionalPodMetadata',
  ],
  [
    { APP: 'Sandbox-Router' },
    'failed to validate label "APP": restricted system label value: "APP"="Sandbox-Router" is not allowed in AdditionalPodMetadata',
  ],
  [
    { 'evilsandbox.users.io/team': 'a' },
    'failed to validate label "evilsandbox.users.io/team": label domain "evilsandbox.users.io" is not in the allowlist (configure the allowed-label-domains key of the agent-sandbox-config ConfigMap in the controller namespace; default: sandbox.users.io)',
  ],
  [
    { 'agents.x-k8s.io/claim-uid': 'a' },
    'failed to validate label "agents.x-k8s.io/claim-uid": label domain "agents.x-k8s.io" is not in the allowlist (configure the allowed-label-domains key of the agent-sandbox-config ConfigMap in the controller namespace; default: sandbox.users.io)',
  ],
  [
    { 'sandbox.users.io/team': 'a b' },
    `failed to validate label "sandbox.users.io/team": invalid label value: "a b" does not match allowed pattern: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
  ],
  [
    { 'sandbox.users.io/team': 'a'.repeat(64) },
    `failed to validate label "sandbox.users.io/team": invalid label value: "${'a'.repeat(64)}" does not match allowed pattern: must be no more than 63 characters`,
  ],
])('labels %j', (labels, problem) => {
  expect(problemOf({ labels })).toBe(problem)
})

test.each<[key: string, allowed: boolean]>([
  ['note', true],
  ['example.com/note', true],
  ['cluster-autoscaler.kubernetes.io/safe-to-evict', true],
  ['kubernetes.io/note', false],
  ['scheduler.alpha.kubernetes.io/note', false],
  ['k8s.io/note', false],
  ['extensions.agents.x-k8s.io/note', false],
  // It would begin with the memory of whatever has a snapshot in the namespace.
  ['caisson.dev/snapshot', false],
  ['caisson.dev/network', false],
  // What runtimes and network plugins of others' nodes act on.
  ['dev.gvisor.spec.mount.data.source', false],
  ['dev.gvisor.flag.debug', false],
  ['io.katacontainers.config.hypervisor.kernel_params', false],
  ['io.kubernetes.cri-o.Devices', false],
  ['cpu-quota.crio.io', false],
  ['cpu-shares.crio.io/main', false],
  ['k8s.v1.cni.cncf.io/networks', false],
  ['v1.multus-cni.io/default-network', false],
  ['devices.nri.io/container.main', false],
  ['dev.gvisors/note', true],
])('annotation %s', (key, allowed) => {
  expect(problemOf({ annotations: { [key]: 'x' } })).toBe(
    allowed
      ? undefined
      : `failed to validate annotation "${key}": restricted system domain: "${key}" is not allowed in AdditionalPodMetadata`,
  )
})

describe('with a template', () => {
  test('the same value is no conflict, another is', () => {
    const template = { labels: { a: '1' }, annotations: { b: '2' } }
    expect(overrideConflict(template, { labels: { a: '1' }, annotations: { c: '3' } })).toBeUndefined()
    expect(overrideConflict(template, { annotations: { b: '3' } })).toBe(
      'metadata override conflict: annotation "b" is defined in template with value "2", but claim requests "3"',
    )
  })

  test('keys that JavaScript knows are keys like others', () => {
    const additional = { labels: JSON.parse('{"__proto__": "1", "constructor": "2"}') as Record<string, string> }
    expect(overrideConflict({ labels: {} }, additional)).toBeUndefined()
    expect(Object.entries(mergedMetadata({}, additional, {}).labels ?? {})).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ])
  })

  test('what the controller says counts more than the template, and what is undefined goes', () => {
    expect(mergedMetadata({ labels: { uid: 'forged', by: 'x' } }, undefined, { uid: '1', by: undefined })).toEqual({
      labels: { uid: '1' },
    })
  })
})

test('what a claim wants is looked at once for as long as it is the same: each change of a member has all claims judged that name it', () => {
  let reads = 0
  const metadata = Object.freeze({
    get labels() {
      reads++
      return { 'sandbox.users.io/a': 'b' }
    },
  })
  const template = { labels: { 'sandbox.users.io/a': 'other' } }
  const nothing: string[] = []
  const judge = (): unknown[] => [
    metadataProblem(metadata, DEFAULT_LABEL_DOMAINS),
    overrideConflict(template, metadata),
    overrideConflict(undefined, metadata),
    metadataProblem(metadata, nothing),
  ]
  const first = judge()
  expect(first).toEqual([undefined, expect.stringMatching('conflict'), undefined, expect.stringMatching('allowlist')])
  const asked = () => [metadataProblem(metadata, nothing), overrideConflict(undefined, metadata)]
  const before = reads
  expect(asked()).toEqual([first[3], first[2]])
  expect(reads).toBe(before)
  expect(judge()).toEqual(first)
})
