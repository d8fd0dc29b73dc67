import { LABELS, type OwnerReference, type SandboxTemplate } from '@caisson/api'
import { expect, test } from 'vitest'
import { type NetworkPolicy, networkPolicySpec, policyState } from './network-policy.ts'
import { type ObservedTemplate, planTemplate } from './plan-template.ts'

const HASH = '0fd9bc91' // of the name `web`
const OWNER: OwnerReference = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxTemplate',
  name: 'web',
  uid: 'template-uid',
  controller: true,
  blockOwnerDeletion: true,
}
const NAMESPACE: OwnerReference = { apiVersion: 'v1', kind: 'Namespace', name: 'ns', uid: 'ns-uid' }

function aTemplate(
  spec: Partial<SandboxTemplate['spec']> = {},
  metadata: SandboxTemplate['metadata'] = {},
): SandboxTemplate {
  const labels = { [LABELS.templateRefHash]: HASH }
  return {
    apiVersion: OWNER.apiVersion,
    kind: 'SandboxTemplate',
    metadata: { name: 'web', namespace: 'ns', uid: 'template-uid', resourceVersion: '5', labels, ...metadata },
    spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'busybox' }] } }, ...spec },
  }
}

function aPolicy(
  template = aTemplate(),
  { owners = [OWNER, NAMESPACE], spec = {} }: { owners?: OwnerReference[]; spec?: object } = {},
): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: 'web-network-policy',
      namespace: 'ns',
      uid: 'policy-uid',
      resourceVersion: '9',
      ownerReferences: owners,
    },
    spec: { ...networkPolicySpec(template), ...spec },
  }
}

function plan(observed: Partial<ObservedTemplate>): ReturnType<typeof planTemplate> {
  const given = { template: aTemplate(), policy: undefined, namespaceUid: 'ns-uid', namesake: undefined, failures: [] }
  return planTemplate({ ...given, ...observed }, 0)
}

const custom = { networkPolicy: { egress: [{ ports: [{ port: 443 }] }] } }
const empties = {
  networkPolicy: {
    ingress: [{ from: [], ports: [] }, { from: [{ podSelector: { matchLabels: {}, matchExpressions: [] } }] }],
    egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: [] } }] }],
  },
}
const unmanaged = { networkPolicyManagement: 'Unmanaged' } as const
const patch = 'patch NetworkPolicy web-network-policy 9'

test.each<[name: string, observed: Partial<ObservedTemplate>, writes: string[]]>([
  [
    'new: labelled, and its policy made',
    { template: aTemplate({}, { labels: {} }) },
    ['patch SandboxTemplate web', 'create NetworkPolicy web-network-policy'],
  ],
  ['complete: nothing', { policy: aPolicy() }, []],
  [
    'with a policy that somebody changed: set right',
    { policy: aPolicy(aTemplate(), { spec: { egress: [{}] } }) },
    [patch],
  ],
  ['with rules of its own now: they are written', { template: aTemplate(custom), policy: aPolicy() }, [patch]],
  [
    'with rules that the server has completed: nothing',
    { template: aTemplate(custom), policy: aPolicy(aTemplate(custom)) },
    [],
  ],
  [
    'whose policy allows nothing, however that is written: nothing',
    {
      template: aTemplate({ networkPolicy: {} }),
      policy: aPolicy(aTemplate({ networkPolicy: {} }), { spec: { ingress: [], egress: [] } }),
    },
    [],
  ],
  [
    'with empty lists and maps, which Go leaves out: nothing',
    {
      template: aTemplate(empties),
      policy: aPolicy(aTemplate(), {
        spec: {
          ingress: [{}, { from: [{ podSelector: {} }] }],
          egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }],
        },
      }),
    },
    [],
  ],
  [
    'with a selector of everything where there should be none: set right',
    {
      template: aTemplate({ networkPolicy: { ingress: [{ from: [{ namespaceSelector: {} }] }] } }),
      policy: aPolicy(aTemplate(), { spec: { ingress: [{ from: [{ namespaceSelector: {}, podSelector: {} }] }] } }),
    },
    [patch],
  ],
  [
    'unmanaged: its policy goes',
    { template: aTemplate(unmanaged), policy: aPolicy() },
    ['delete NetworkPolicy web-network-policy'],
  ],
  ['unmanaged, without one: nothing', { template: aTemplate(unmanaged) }, []],
  [
    "unmanaged: another's policy stays",
    { template: aTemplate(unmanaged), policy: aPolicy(aTemplate(), { owners: [] }) },
    [],
  ],
  [
    "another's policy is never touched",
    { policy: aPolicy(aTemplate(), { owners: [{ ...OWNER, uid: 'other' }], spec: { egress: [{}] } }) },
    [],
  ],
  [
    'made before namespaces were owners: its namespace is added',
    { policy: aPolicy(aTemplate(), { owners: [OWNER] }) },
    [patch],
  ],
  [
    'whose namespace is not known yet: made all the same',
    { namespaceUid: undefined },
    ['create NetworkPolicy web-network-policy'],
  ],
  [
    'with the policy that an earlier one of its name left: it is taken over',
    { policy: aPolicy(aTemplate(), { owners: [NAMESPACE] }) },
    [patch],
  ],
  [
    'with that of an earlier one which is not quite gone: too',
    { policy: aPolicy(aTemplate(), { owners: [{ ...OWNER, uid: 'earlier' }, NAMESPACE] }) },
    [patch],
  ],
  [
    'unmanaged: what an earlier one left stays, for its Sandboxes',
    { template: aTemplate(unmanaged), policy: aPolicy(aTemplate(), { owners: [NAMESPACE] }) },
    [],
  ],
  ["of a name with an older one's hash: without a policy", { namesake: 'older' }, []],
  [
    "of a name with an older one's hash, which was not seen before: its policy goes",
    { namesake: 'older', policy: aPolicy() },
    ['delete NetworkPolicy web-network-policy'],
  ],
  ['being deleted: nothing', { template: aTemplate({}, { deletionTimestamp: 'x', labels: {} }) }, []],
  [
    'refused for good: not again',
    {
      failures: [
        { id: 'create NetworkPolicy web-network-policy', message: 'no', permanent: true, namespaceTerminating: false },
      ],
    },
    [],
  ],
])('%s', (_name, observed, writes) => {
  expect(plan(observed).writes.map(({ id }) => id)).toEqual(writes)
})

test('the policy that it has unless it says otherwise', () => {
  const [write] = plan({}).writes
  expect(write).toMatchObject({
    object: {
      metadata: { name: 'web-network-policy', namespace: 'ns', ownerReferences: [OWNER, NAMESPACE] },
      spec: {
        podSelector: { matchLabels: { 'agents.x-k8s.io/sandbox-template-ref-hash': HASH } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'agent-sandbox-system' } },
                podSelector: { matchLabels: { app: 'sandbox-router' } },
              },
            ],
          },
        ],
        egress: [
          {
            to: [
              {
                ipBlock: {
                  cidr: '0.0.0.0/0',
                  except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'],
                },
              },
              { ipBlock: { cidr: '::/0', except: ['fc00::/7', 'fe80::/10'] } },
            ],
          },
        ],
      },
    },
  })
})

test('rules that are taken out are taken out', () => {
  const template = aTemplate({ networkPolicy: {} })
  expect(plan({ template, policy: aPolicy() }).writes).toMatchObject([
    { patch: { spec: { ingress: null, egress: null } } },
  ])
})

test("that another's policy has its name is said", () => {
  const { notices } = plan({ policy: aPolicy(aTemplate(), { owners: [] }) })
  expect(notices).toMatchObject([{ type: 'Warning', reason: 'NetworkPolicyConflict' }])
})

test('a policy that is taken over is the new template’s', () => {
  const { writes } = plan({ policy: aPolicy(aTemplate(), { owners: [NAMESPACE], spec: { egress: [{}] } }) })
  expect(writes).toMatchObject([
    {
      patch: {
        metadata: { uid: 'policy-uid', resourceVersion: '9', ownerReferences: [OWNER, NAMESPACE] },
        spec: { egress: networkPolicySpec(aTemplate()).egress },
      },
    },
  ])
})

test('that its name says nothing is said', () => {
  expect(plan({ namesake: 'older' }).notices).toMatchObject([{ type: 'Warning', reason: 'NameCollision' }])
})

test.each([
  ['missing', aTemplate(), aPolicy(aTemplate(), { owners: [NAMESPACE] })],
  ['enforced', aTemplate(unmanaged), undefined],
  ['enforced', aTemplate(), aPolicy()],
  ['missing', aTemplate(), undefined],
  ['foreign', aTemplate(), aPolicy(aTemplate(), { owners: [] })],
])('Sandboxes are made only where it is %s', (expected, template, policy) => {
  expect(policyState(template, policy)).toBe(expected)
})
