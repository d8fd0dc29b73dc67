import type { PersistentVolumeSpec } from 'kubernetes-types/core/v1.js'
import { expect, test } from 'vitest'
import type { FieldError } from '../../status-error.ts'
import { validateDriverSource } from './driver-sources.ts'

const INITIATOR = 'iqn.2001-04.com.example:storage'

/** Each error as kube-apiserver 1.34 says it. */
test.each<[name: keyof PersistentVolumeSpec, source: object, inVolume: string[], inPod: string[]]>([
  ['awsElasticBlockStore', { partition: 256 }, ...both('volumeID: Required value', range('partition', 256, 1))],
  ['gcePersistentDisk', { pdName: 'a', partition: -1 }, ...both(range('partition', -1, 1))],
  ['cephfs', { monitors: [] }, ...both('monitors: Required value')],
  ['rbd', {}, ...both('monitors: Required value', 'image: Required value')],
  ['scaleIO', {}, ...both(...['gateway', 'system', 'volumeName'].map((field) => `${field}: Required value`))],
  [
    'cinder',
    { volumeID: 'a', secretRef: {} },
    ['secretRef.name: Required value', 'secretRef.namespace: Required value'],
    ['secretRef.name: Required value'],
  ],
  ['flocker', {}, ...both(': Required value: one of datasetName and datasetUUID is required')],
  ['fc', { targetWWNs: ['a'] }, ...both('lun: Required value: lun is required if targetWWNs is specified')],
  ['iscsi', { targetPortal: 'a', iqn: INITIATOR, lun: 256 }, ...both(range('lun', 256, 0))],
  [
    'iscsi',
    { targetPortal: 'a', iqn: 'b', lun: 0 },
    ['iqn: Invalid value: "b": must be valid format'],
    ['iqn: Invalid value: "b": must be valid format starting with iqn, eui, or naa'],
  ],
  ['iscsi', { targetPortal: 'a', iqn: INITIATOR, lun: 0, chapAuthSession: true }, ...both('secretRef: Required value')],
  [
    'flexVolume',
    { driver: 'a', options: { 'x.k8s.io/a': '', 'example.com/a': '' } },
    ...both('options[x.k8s.io/a]: Invalid value: "x.k8s.io/a": kubernetes.io and k8s.io namespaces are reserved'),
  ],
  [
    'azureDisk',
    { diskName: 'a', diskURI: 'a', kind: 'Managed', cachingMode: 'ReadOnly' },
    ...both(
      'diskURI: Unsupported value: "a": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"',
    ),
  ],
  [
    'quobyte',
    { registry: 'a:1,b', volume: 'v' },
    ...both('registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas'),
  ],
  ['vsphereVolume', { volumePath: 'a' }, [], []],
])('a source %s of %j', (name, source, inVolume, inPod) => {
  expect(said(name, source, 'PersistentVolume')).toEqual(inVolume)
  expect(said(name, source, 'Pod')).toEqual(inPod)
})

test('a source that no driver mounts is somebody else’s', () => {
  const errors: FieldError[] = []
  const owner = { kind: 'Pod', name: 'v' } as const
  expect(validateDriverSource({ hostPath: { path: '' } }, 'hostPath', { path: 'spec', errors, owner })).toBe(false)
  expect(errors).toEqual([])
})

// A megabyte of beginnings, each of which could go on to the end, would take more than a minute.
test('a name that begins again and again is looked at once', () => {
  const source = { targetPortal: 'a', iqn: INITIATOR, lun: 0, initiatorName: 'iqn.2000-00.'.repeat(100_000) }
  expect(said('iscsi', source, 'PersistentVolume')).toEqual([expect.stringMatching(/^initiatorname: Invalid value/)])
})

function both(...errors: string[]): [inVolume: string[], inPod: string[]] {
  return [errors, errors]
}

function range(field: string, value: number, least: number): string {
  return `${field}: Invalid value: ${value}: must be between ${least} and 255, inclusive`
}

function said(name: string, source: object, kind: 'Pod' | 'PersistentVolume'): string[] {
  const errors: FieldError[] = []
  const owner = { kind, name: 'v' } as const
  expect(validateDriverSource({ [name]: source }, name, { path: 'spec', errors, owner })).toBe(true)
  return errors.map(({ field, message }) => `${field.replace(/^spec\.\w+\.?/, '')}: ${message}`)
}
