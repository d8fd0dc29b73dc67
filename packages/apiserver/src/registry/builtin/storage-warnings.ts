/** What kube-apiserver warns about when volumes and claims are written. */
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  PersistentVolumeSpec,
  Volume,
} from 'kubernetes-types/core/v1.js'
import { nanoOf } from '../quantity.ts'
import { nodeTermWarnings } from './placement-warnings.ts'

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'
const BETA_OPTIONS = 'volume.beta.kubernetes.io/mount-options'
const CLASS_IS_OLD = 'deprecated since v1.8; use "storageClassName" attribute instead'
const OPTIONS_ARE_OLD = 'deprecated since v1.31; use "mountOptions" attribute instead'

/** Plugins that are gone: the name in warnings, deprecated since, without a function since. */
const GONE: ReadonlyArray<
  [source: keyof PersistentVolumeSpec & keyof Volume, name: string, since: string, until: string]
> = [
  ['cephfs', 'cephfs', 'v1.28', 'v1.31'],
  ['photonPersistentDisk', 'photonPersistentDisk', 'v1.11', 'v1.16'],
  ['scaleIO', 'scaleIO', 'v1.16', 'v1.22'],
  ['storageos', 'storageOS', 'v1.22', 'v1.25'],
  ['glusterfs', 'glusterfs', 'v1.25', 'v1.26'],
  ['rbd', 'rbd', 'v1.28', 'v1.31'],
]

/** Those of them that only Pods are warned of. */
const GONE_FROM_PODS: ReadonlyArray<[source: keyof Volume, name: string, since: string, until: string]> = [
  ...GONE,
  ['flocker', 'flocker', 'v1.22', 'v1.25'],
  ['quobyte', 'quobyte', 'v1.22', 'v1.25'],
]

/** @param path of the list: `spec.template.spec.volumes` */
export function podVolumeWarnings(volumes: readonly Volume[], path: string): string[] {
  return volumes.flatMap((volume, index) => {
    const at = `${path}[${index}]`
    const gone = GONE_FROM_PODS.filter(([source]) => volume[source]).map(
      ([, name, since, until]) => `${at}.${name}: deprecated in ${since}, non-functional in ${until}+`,
    )
    const claim = volume.ephemeral?.volumeClaimTemplate?.spec
    return [
      ...gone,
      ...(volume.gitRepo ? [`${at}.gitRepo: deprecated in v1.11, and disabled by default in v1.33+`] : []),
      ...(claim ? claimSpecWarnings(claim, `${at}.ephemeral.volumeClaimTemplate.spec`) : []),
    ]
  })
}

export function volumeWarnings({ metadata, spec = {} }: PersistentVolume): string[] {
  const annotations = metadata?.annotations ?? {}
  const warnings: string[] = []
  if (Object.hasOwn(annotations, BETA_CLASS)) warnings.push(`metadata.annotations[${BETA_CLASS}]: ${CLASS_IS_OLD}`)
  if (Object.hasOwn(annotations, BETA_OPTIONS))
    warnings.push(`metadata.annotations[${BETA_OPTIONS}]: ${OPTIONS_ARE_OLD}`)
  if (spec.persistentVolumeReclaimPolicy === 'Recycle') {
    const instead = 'Instead, the recommended approach is to use dynamic provisioning.'
    warnings.push(`spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. ${instead}`)
  }
  const terms = spec.nodeAffinity?.required?.nodeSelectorTerms ?? []
  for (const [index, term] of terms.entries())
    warnings.push(...nodeTermWarnings(term, `spec.nodeAffinity.required.nodeSelectorTerms[${index}]`))
  for (const [source, name, since, until] of GONE)
    if (spec[source]) warnings.push(`spec.${name}: deprecated in ${since}, non-functional in ${until}+`)
  return warnings
}

export function claimWarnings({ metadata, spec = {} }: PersistentVolumeClaim): string[] {
  const warnings: string[] = []
  if (Object.hasOwn(metadata?.annotations ?? {}, BETA_CLASS))
    warnings.push(`metadata.annotations[${BETA_CLASS}]: ${CLASS_IS_OLD}`)
  return [...warnings, ...claimSpecWarnings(spec, 'spec')]
}

function claimSpecWarnings(spec: PersistentVolumeClaimSpec, path: string): string[] {
  const warnings: string[] = []
  for (const list of ['requests', 'limits'] as const) {
    const amount = spec.resources?.[list]?.['storage'] as string | undefined
    if (amount === undefined || nanoOf(amount) % 1_000_000_000n === 0n) continue
    warnings.push(
      `${path}.resources.${list}[storage]: fractional byte value "${amount}" is invalid, must be an integer`,
    )
  }
  return warnings
}
