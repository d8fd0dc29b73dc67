/** What Pods and templates are warned of, and what Pods alone are refused for: templates are not asked for all of it. */
import { type Add, post } from './requests.ts'
import type { Request } from './script.ts'

const dry = (plural: string, body: object): Request =>
  post(`/api/v1/namespaces/one/${plural}`, { apiVersion: 'v1', ...body }, { dryRun: 'All' })

export function placementSteps(add: Add): void {
  const both = (label: string, spec: object, metadata: object = {}): void => {
    const whole = { containers: [{ name: 'a', image: 'x' }], ...spec }
    const named = { name: 'placed', ...metadata }
    add(`a Pod with ${label}`, dry('pods', { kind: 'Pod', metadata: named, spec: whole }))
    const template = { metadata, spec: whole }
    add(`a template with ${label}`, dry('podtemplates', { kind: 'PodTemplate', metadata: named, template }))
  }
  const required = 'requiredDuringSchedulingIgnoredDuringExecution'
  const preferred = 'preferredDuringSchedulingIgnoredDuringExecution'
  const topologyKey = 'kubernetes.io/hostname'
  const pods = {
    [required]: [{ topologyKey }, { topologyKey, labelSelector: {} }],
    [preferred]: [{ weight: 1, podAffinityTerm: { topologyKey } }],
  }
  both('affinity to Pods without selectors', { affinity: { podAffinity: pods, podAntiAffinity: pods } })
  const term = (key: string, value: string): object => ({
    matchExpressions: [{ key, operator: 'In', values: [value] }],
  })
  both('affinity to nodes by old labels', {
    affinity: {
      nodeAffinity: {
        [required]: { nodeSelectorTerms: [term('beta.kubernetes.io/os', 'linux'), term('a', 'b')] },
        [preferred]: [
          { weight: 1, preference: term('node-role.kubernetes.io/master', 'a') },
          { weight: 1, preference: term('a', 'a b') },
        ],
      },
    },
  })
  for (const label of ['failure-domain.beta.kubernetes.io/zone', 'app.kubernetes.io/created-by'])
    both(`the old label ${label}`, { nodeSelector: { [label]: 'a' } })
  both('spread by an old label without a selector', {
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: 'failure-domain.beta.kubernetes.io/region', whenUnsatisfiable: 'ScheduleAnyway' },
    ],
  })
  const old = [
    { photonPersistentDisk: { pdID: 'a' } },
    { gitRepo: { repository: 'https://example.com/a.git' } },
    { flocker: { datasetName: 'a' } },
    { quobyte: { registry: 'a:1', volume: 'a' } },
    { cephfs: { monitors: ['a'] } },
    {
      ephemeral: {
        volumeClaimTemplate: {
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1500m' } } },
        },
      },
    },
  ]
  both('volumes of plugins that are gone', { volumes: old.map((volume, index) => ({ name: `v${index}`, ...volume })) })
  both('a token without an account', {
    serviceAccountName: '',
    volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 'a' } }] } }],
  })
  both('spaces around an image', { containers: [{ name: 'a', image: ' x ' }] })
  both(
    'a profile in an annotation',
    {},
    { annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'runtime/default' } },
  )
  for (const second of ['a', '10.2.0.0/24', 'fd00::/64'])
    add(
      `a node with the second range ${second}`,
      post(
        '/api/v1/nodes',
        { metadata: { name: 'placed' }, spec: { podCIDRs: ['10.1.0.0/24', second] } },
        { dryRun: 'All' },
      ),
    )
  add(
    'a volume that nodes have by an old label',
    post(
      '/api/v1/persistentvolumes',
      {
        metadata: { name: 'placed' },
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          hostPath: { path: '/a' },
          nodeAffinity: { required: { nodeSelectorTerms: [term('beta.kubernetes.io/arch', 'amd64')] } },
        },
      },
      { dryRun: 'All' },
    ),
  )
}
