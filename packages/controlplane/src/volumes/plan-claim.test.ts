import type { PodObject, Typed } from '@caisson/client'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { Claim, Volume } from './match-volume.ts'
import {
  BOUND_BY_CONTROLLER,
  type ClaimPlan,
  type ObservedClaim,
  PROVISIONED_BY,
  PROVISIONER,
  planClaim,
  planVolume,
} from './plan-claim.ts'

const claim = (spec: object = {}, extra: object = {}): Claim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'c', namespace: 'n', uid: 'u', ...extra },
  spec: {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: '1Gi' } },
    storageClassName: 'standard',
    ...spec,
  },
})
const volume = (name: string, spec: object = {}, status: object = { phase: 'Available' }): Volume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, storageClassName: 'standard', ...spec },
  status,
})
const standard = (extra: object = {}): Typed<StorageClass> => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'standard' },
  provisioner: PROVISIONER,
  reclaimPolicy: 'Delete',
  ...extra,
})
const pod: PodObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } }
const at = (value: string) => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'host', operator: 'In', values: [value] }] }] },
  },
})
const mine = { claimRef: { namespace: 'n', name: 'c', uid: 'u' } }

function brief(plan: ClaimPlan): string {
  if (plan.kind === 'bind' || plan.kind === 'provision') return `${plan.kind} ${plan.volume.metadata.name}`
  return plan.kind === 'wait' || plan.kind === 'lost' ? `${plan.kind} ${plan.reason}` : plan.kind
}

/** What is planned, with what is observed where a test says nothing of it. */
function planned(observed: Partial<ObservedClaim>): ClaimPlan {
  const nothing = { claim: claim(), volumes: [], classes: [], pods: [], nodes: [] }
  return planClaim({ ...nothing, ...observed }, (name) => `/volumes/${name}`)
}

describe('planClaim', () => {
  test.each<[name: string, given: Partial<ObservedClaim>, expected: string]>([
    [
      'a directory is made where the class is ours',
      { claim: claim(), volumes: [], classes: [standard()], pods: [] },
      'provision pvc-u',
    ],
    [
      'a volume that is there is taken first',
      { claim: claim(), volumes: [volume('v')], classes: [standard()], pods: [] },
      'bind v',
    ],
    [
      'of two the smaller',
      {
        claim: claim(),
        volumes: [volume('big', { capacity: { storage: '1Ti' } }), volume('fits', { capacity: { storage: '1024Mi' } })],
        classes: [],
        pods: [],
      },
      'bind fits',
    ],
    [
      'not one that is too small',
      { claim: claim(), volumes: [volume('v', { capacity: { storage: '1G' } })], classes: [standard()], pods: [] },
      'provision pvc-u',
    ],
    [
      'not one of another class',
      { claim: claim({ storageClassName: 'other' }), volumes: [volume('v')], classes: [], pods: [] },
      'wait ProvisioningFailed',
    ],
    [
      'not one that another has',
      {
        claim: claim(),
        volumes: [volume('v', { claimRef: { namespace: 'n', name: 'd', uid: 'w' } })],
        classes: [standard()],
        pods: [],
      },
      'provision pvc-u',
    ],
    [
      'not one that a claim of this name had before',
      {
        claim: claim(),
        volumes: [volume('v', { claimRef: { namespace: 'n', name: 'c', uid: 'old' } })],
        classes: [standard()],
        pods: [],
      },
      'provision pvc-u',
    ],
    [
      'one that was made for it, after a crash',
      { claim: claim(), volumes: [volume('pvc-u', mine)], classes: [standard()], pods: [] },
      'bind pvc-u',
    ],
    [
      'half bound is bound',
      { claim: claim({ volumeName: 'v' }), volumes: [volume('v', mine, { phase: 'Bound' })], classes: [], pods: [] },
      'bind v',
    ],
    [
      'bound is bound',
      {
        claim: { ...claim({ volumeName: 'v' }), status: { phase: 'Bound' } },
        volumes: [volume('v', mine, { phase: 'Bound' })],
        classes: [],
        pods: [],
      },
      'nothing',
    ],
    [
      'a volume that is gone is lost',
      { claim: { ...claim({ volumeName: 'v' }), status: { phase: 'Bound' } }, volumes: [], classes: [], pods: [] },
      'lost ClaimLost',
    ],
    [
      'a volume that is another claim’s is lost',
      {
        claim: { ...claim({ volumeName: 'v' }), status: { phase: 'Bound' } },
        volumes: [volume('v', { claimRef: { namespace: 'n', name: 'd', uid: 'w' } })],
      },
      'lost ClaimMisbound',
    ],
    [
      'what was lost is said once',
      {
        claim: { ...claim({ volumeName: 'v' }), status: { phase: 'Lost' } },
        volumes: [volume('v', { claimRef: { namespace: 'n', name: 'd', uid: 'w' } })],
      },
      'nothing',
    ],
    [
      'a volume that forgot whose it is',
      { claim: { ...claim({ volumeName: 'v' }), status: { phase: 'Bound' } }, volumes: [volume('v')] },
      'bind v',
    ],
    [
      'a claim that says of itself that it was bound is looked at as any other',
      {
        claim: claim(
          { volumeName: 'v', storageClassName: 'other' },
          { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
        ),
        volumes: [volume('v')],
      },
      'wait VolumeMismatch',
    ],
    ['a volume that is not there yet', { claim: claim({ volumeName: 'v' }) }, 'nothing'],
    [
      'not one that is on its way out',
      { volumes: [{ ...volume('v'), metadata: { name: 'v', deletionTimestamp: 'x' } }], classes: [standard()] },
      'provision pvc-u',
    ],
    [
      'not one that is not known to be free',
      { volumes: [volume('v', {}, {})], classes: [standard()] },
      'provision pvc-u',
    ],
    [
      'not one of another class of attributes',
      { volumes: [volume('v', { volumeAttributesClassName: 'fast' })], classes: [standard()] },
      'provision pvc-u',
    ],
    [
      'the older annotation is the class',
      {
        claim: claim({}, { annotations: { 'volume.beta.kubernetes.io/storage-class': 'old' } }),
        volumes: [volume('v'), volume('w', { storageClassName: 'old' })],
      },
      'bind w',
    ],
    [
      'for a class that waits there is a volume, but nobody uses the claim',
      { volumes: [volume('v')], classes: [standard({ volumeBindingMode: 'WaitForFirstConsumer' })] },
      'wait WaitForFirstConsumer',
    ],
    [
      '… and somebody does, where one of two volumes can be reached',
      {
        volumes: [volume('there', at('other')), volume('here', { ...at('here'), capacity: { storage: '2Gi' } })],
        classes: [standard({ volumeBindingMode: 'WaitForFirstConsumer' })],
        pods: [pod],
        nodes: [{ metadata: { name: 'n', labels: { host: 'here' } } }],
      },
      'bind here',
    ],
    [
      'it waits for a consumer where the class says so',
      { claim: claim(), volumes: [], classes: [standard({ volumeBindingMode: 'WaitForFirstConsumer' })], pods: [] },
      'wait WaitForFirstConsumer',
    ],
    [
      '… and has one',
      { claim: claim(), volumes: [], classes: [standard({ volumeBindingMode: 'WaitForFirstConsumer' })], pods: [pod] },
      'provision pvc-u',
    ],
    [
      'another provisioner does it',
      { claim: claim(), volumes: [], classes: [standard({ provisioner: 'x' })], pods: [] },
      'wait ExternalProvisioning',
    ],
    [
      'no class, no volume',
      { claim: claim({ storageClassName: '' }), volumes: [], classes: [standard()], pods: [] },
      'wait FailedBinding',
    ],
    [
      'deleted while a Pod uses it',
      {
        claim: claim({}, { deletionTimestamp: 'x', finalizers: ['kubernetes.io/pvc-protection'] }),
        volumes: [],
        classes: [],
        pods: [pod],
      },
      'nothing',
    ],
    [
      'deleted and unused',
      {
        claim: claim({}, { deletionTimestamp: 'x', finalizers: ['kubernetes.io/pvc-protection'] }),
        volumes: [],
        classes: [],
        pods: [],
      },
      'release',
    ],
  ])('%s', (_name, given, expected) => {
    expect(brief(planned(given))).toBe(expected)
  })
})

describe('planVolume', () => {
  const ours = (spec: object): Volume => ({
    ...volume('pvc-u', spec),
    metadata: { name: 'pvc-u', annotations: { [PROVISIONED_BY]: PROVISIONER } },
  })
  test.each<[name: string, volume: Volume, claim: Claim | undefined, expected: unknown]>([
    ['nobody claims it', volume('v', {}, {}), undefined, { kind: 'phase', phase: 'Available' }],
    ['its claim is there', ours({ ...mine, persistentVolumeReclaimPolicy: 'Delete' }), claim(), { kind: 'nothing' }],
    ['its claim is gone', ours({ ...mine, persistentVolumeReclaimPolicy: 'Delete' }), undefined, { kind: 'reclaim' }],
    [
      'a claim of the same name is another',
      ours({ ...mine, persistentVolumeReclaimPolicy: 'Delete' }),
      claim({}, { uid: 'new' }),
      { kind: 'reclaim' },
    ],
    [
      'it is to be kept',
      ours({ ...mine, persistentVolumeReclaimPolicy: 'Retain' }),
      undefined,
      { kind: 'phase', phase: 'Released' },
    ],
    [
      'it is not ours',
      volume('v', { ...mine, persistentVolumeReclaimPolicy: 'Delete' }),
      undefined,
      { kind: 'phase', phase: 'Released' },
    ],
    [
      'reserved by name',
      volume('v', { claimRef: { namespace: 'n', name: 'later' } }, { phase: 'Pending' }),
      undefined,
      { kind: 'phase', phase: 'Available' },
    ],
    [
      'its claim has another, and it was made for it',
      ours({ ...mine, persistentVolumeReclaimPolicy: 'Delete' }),
      claim({ volumeName: 'other' }),
      { kind: 'reclaim' },
    ],
    [
      'its claim has another, and it was found for it',
      { ...volume('v', mine), metadata: { name: 'v', annotations: { [BOUND_BY_CONTROLLER]: 'yes' } } },
      claim({ volumeName: 'other' }),
      { kind: 'unbind', reserved: false },
    ],
    [
      'its claim has another, and it was reserved for it',
      volume('v', mine),
      claim({ volumeName: 'other' }),
      { kind: 'unbind', reserved: true },
    ],
    [
      'deleted and unclaimed',
      { ...volume('v'), metadata: { name: 'v', deletionTimestamp: 'x', finalizers: ['kubernetes.io/pv-protection'] } },
      undefined,
      { kind: 'release' },
    ],
  ])('%s', (_name, given, its, expected) => {
    expect(planVolume(given, its)).toEqual(expected)
  })

  test.each<[name: string, volume: Volume, claim: Claim | undefined]>([
    ['whose claim is gone', ours({ ...mine, persistentVolumeReclaimPolicy: 'Delete' }), undefined],
    ['whose claim has another', volume('v', mine), claim({ volumeName: 'other' })],
  ])('what a node has in use is nobody’s, and not given back: one %s', (_name, given, its) => {
    expect(planVolume(given, its, { inUse: true })).toEqual({ kind: 'phase', phase: 'Released' })
    const released = { ...given, status: { phase: 'Released' } }
    expect(planVolume(released, its, { inUse: true })).toEqual({ kind: 'nothing' })
  })
})

test.each<[lacking: string, volume: Volume]>([
  ['the volume is marked for deletion "v"', { ...volume('v'), metadata: { name: 'v', deletionTimestamp: 'x' } }],
  ['requested PV is too small', volume('v', { capacity: { storage: '1G' } })],
  ['storageClassName does not match', volume('v', { storageClassName: 'manual' })],
  ['volumeAttributesClassName does not match', volume('v', { volumeAttributesClassName: 'fast' })],
  ['incompatible volumeMode', volume('v', { volumeMode: 'Block' })],
  ['incompatible accessMode', volume('v', { accessModes: ['ReadOnlyMany'] })],
])('a volume that a claim names is not its own for that: %s', (lacking, named) => {
  expect(planned({ claim: claim({ volumeName: 'v' }), volumes: [named] })).toEqual({
    kind: 'wait',
    type: 'Warning',
    reason: 'VolumeMismatch',
    message: `Cannot bind to requested volume "v": ${lacking}`,
  })
})

test.each([
  ['1Gi', '1Gi'],
  ['1Mi', '16Mi'],
])('a class that enforces sizes gives %s as a file system of %s', (asked, given) => {
  const plan = planned({
    claim: claim({ resources: { requests: { storage: asked } } }),
    classes: [standard({ parameters: { enforceSize: 'true' } })],
  })
  expect(plan.kind === 'provision' && plan.volume).toMatchObject({
    metadata: { annotations: { [PROVISIONED_BY]: PROVISIONER, 'caisson.dev/image-file': 'volume.ext4' } },
    spec: { capacity: { storage: given }, hostPath: { path: '/volumes/pvc-u', type: 'DirectoryOrCreate' } },
  })
})
