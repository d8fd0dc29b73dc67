import type { PodObject, Typed } from '@caisson/client'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'
import { describe, expect, test } from 'vitest'
import {
  type Claim,
  type ClaimPlan,
  PROVISIONED_BY,
  PROVISIONER,
  planClaim,
  planVolume,
  type Volume,
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
const volume = (name: string, spec: object = {}, status: object = {}): Volume => ({
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
const mine = { claimRef: { namespace: 'n', name: 'c', uid: 'u' } }

function brief(plan: ClaimPlan): string {
  if (plan.kind === 'bind' || plan.kind === 'provision') return `${plan.kind} ${plan.volume.metadata.name}`
  return plan.kind === 'wait' ? `wait ${plan.reason}` : plan.kind
}

describe('planClaim', () => {
  test.each<[name: string, given: Parameters<typeof planClaim>[0], expected: string]>([
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
      'lost',
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
    expect(brief(planClaim(given, (name) => `/volumes/${name}`))).toBe(expected)
  })
})

describe('planVolume', () => {
  const ours = (spec: object): Volume => ({
    ...volume('pvc-u', spec),
    metadata: { name: 'pvc-u', annotations: { [PROVISIONED_BY]: PROVISIONER } },
  })
  test.each<[name: string, volume: Volume, claim: Claim | undefined, expected: unknown]>([
    ['nobody claims it', volume('v'), undefined, { kind: 'phase', phase: 'Available' }],
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
    ['reserved by name', volume('v', { claimRef: { namespace: 'n', name: 'later' } }), undefined, { kind: 'nothing' }],
    [
      'deleted and unclaimed',
      { ...volume('v'), metadata: { name: 'v', deletionTimestamp: 'x', finalizers: ['kubernetes.io/pv-protection'] } },
      undefined,
      { kind: 'release' },
    ],
  ])('%s', (_name, given, its, expected) => {
    expect(planVolume(given, its)).toEqual(expected)
  })
})

test.each([
  ['1Gi', '1Gi'],
  ['1Mi', '16Mi'],
])('a class that enforces sizes gives %s as a file system of %s', (asked, given) => {
  const plan = planClaim(
    {
      claim: claim({ resources: { requests: { storage: asked } } }),
      volumes: [],
      classes: [standard({ parameters: { enforceSize: 'true' } })],
      pods: [],
    },
    (name) => `/volumes/${name}`,
  )
  expect(plan.kind === 'provision' && plan.volume).toMatchObject({
    metadata: { annotations: { [PROVISIONED_BY]: PROVISIONER, 'caisson.dev/image-file': 'volume.ext4' } },
    spec: { capacity: { storage: given }, hostPath: { path: '/volumes/pvc-u', type: 'DirectoryOrCreate' } },
  })
})
