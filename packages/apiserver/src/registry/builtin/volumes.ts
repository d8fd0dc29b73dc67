/** Volumes of a Pod: one source each, and sources that are complete. */
import type { DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Volume } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain } from '../names.ts'
import { validateDriverSource } from './driver-sources.ts'
import { validateResourceFieldRef, validateVolumeFieldRef } from './environment.ts'
import { validateLocalDescendingPath, validateLocalNonReservedPath, validateNoBacksteps } from './file-paths.ts'
import { validateClaimSpec } from './persistent-volume-claim.ts'

type Source = Exclude<keyof Volume, 'name'> | 'image'
type AnyVolume = Volume & { image?: { reference?: string; pullPolicy?: string } }

/** In the order in which kube-apiserver looks; the first one counts, the others are one too many. */
const SOURCES: readonly Source[] = [
  'emptyDir',
  'hostPath',
  'gitRepo',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'secret',
  'nfs',
  'iscsi',
  'glusterfs',
  'flocker',
  'persistentVolumeClaim',
  'rbd',
  'cinder',
  'cephfs',
  'quobyte',
  'downwardAPI',
  'fc',
  'flexVolume',
  'configMap',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'storageos',
  'projected',
  'scaleIO',
  'csi',
  'ephemeral',
  'image',
]

/** Returns the volumes that are fit to be mounted, by name. */
export function validateVolumes(
  volumes: readonly AnyVolume[],
  podName: string,
  path: string,
  errors: FieldError[],
): ReadonlyMap<string, Volume> {
  const valid = new Map<string, Volume>()
  const created = new Set(
    volumes.flatMap((volume) => (volume.ephemeral && podName ? [`${podName}-${volume.name}`] : [])),
  )
  volumes.forEach((volume, index) => {
    const at = `${path}[${index}]`
    const before = errors.length
    validateVolumeSource(volume, podName, at, errors)
    if (!volume.name) errors.push(required(`${at}.name`))
    else for (const said of dns1123Label(volume.name)) errors.push(invalidValue(`${at}.name`, volume.name, said))
    if (valid.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name))
    if (errors.length === before) valid.set(volume.name, volume)
    const claim = volume.persistentVolumeClaim?.claimName
    if (claim !== undefined && created.has(claim)) {
      const said = 'must not reference a PVC that gets created for an ephemeral volume'
      errors.push(invalidValue(`${at}.persistentVolumeClaim.claimName`, claim, said))
    }
  })
  return valid
}

function validateVolumeSource(volume: AnyVolume, podName: string, path: string, errors: FieldError[]): void {
  const [first, ...others] = SOURCES.filter((source) => (volume as unknown as Record<string, unknown>)[source])
  if (!first) {
    errors.push(required(path, 'must specify a volume type'))
    return
  }
  const owner = { kind: 'Pod', name: volume.name } as const
  if (!validateDriverSource(volume, first, { path, errors, owner }))
    RULES[first]?.(volume, `${path}.${first}`, errors, podName)
  for (const source of others) {
    const name = source === 'downwardAPI' ? 'downwarAPI' : source === 'cephfs' ? 'cephFS' : source
    errors.push(forbidden(`${path}.${name}`, 'may not specify more than 1 volume type'))
  }
}

type SourceRule = (volume: AnyVolume, at: string, errors: FieldError[], podName: string) => void

/** But for those of storage drivers. */
const RULES: Partial<Readonly<Record<Source, SourceRule>>> = {
  emptyDir(volume, at, errors) {
    const limit = volume.emptyDir?.sizeLimit
    if (limit?.startsWith('-')) {
      errors.push(forbidden(`${at}.sizeLimit`, 'SizeLimit field must be a valid resource quantity'))
    }
  },
  hostPath: (volume, at, errors) => validateHostPath(volume.hostPath ?? { path: '' }, at, errors),
  gitRepo(volume, at, errors) {
    if (!volume.gitRepo?.repository) errors.push(required(`${at}.repository`))
    validateLocalDescendingPath(volume.gitRepo?.directory ?? '', `${at}.directory`, errors)
  },
  secret(volume, at, errors) {
    if (!volume.secret?.secretName) errors.push(required(`${at}.secretName`))
    validateFiles(volume.secret, at, errors)
  },
  configMap(volume, at, errors) {
    if (!volume.configMap?.name) errors.push(required(`${at}.name`))
    validateFiles(volume.configMap, at, errors)
  },
  downwardAPI(volume, at, errors) {
    validateMode(volume.downwardAPI?.defaultMode, `${at}.defaultMode`, errors)
    for (const file of volume.downwardAPI?.items ?? []) validateDownwardFile(file, at, errors)
  },
  projected: (volume, at, errors) => validateProjected(volume.projected ?? { sources: [] }, at, errors),
  persistentVolumeClaim(volume, at, errors) {
    if (!volume.persistentVolumeClaim?.claimName) errors.push(required(`${at}.claimName`))
  },
  nfs: (volume, at, errors) => validateNfs(volume.nfs ?? { server: '', path: '' }, at, errors),
  csi: (volume, at, errors) => validateCsi(volume.csi ?? { driver: '' }, at, errors),
  ephemeral: (volume, at, errors, podName) => {
    validateEphemeral(volume, podName, at.slice(0, -'.ephemeral'.length), errors)
  },
  image(volume, at, errors) {
    if (!volume.image?.reference) errors.push(required(`${at}.reference`))
    validatePullPolicy(volume.image?.pullPolicy ?? '', `${at}.pullPolicy`, errors)
  },
}

export function validatePullPolicy(policy: string, path: string, errors: FieldError[]): void {
  if (policy === 'Always' || policy === 'IfNotPresent' || policy === 'Never') return
  errors.push(policy ? notSupported(path, policy, ['Always', 'IfNotPresent', 'Never']) : required(path))
}

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
]

export function validateHostPath(source: { path: string; type?: string }, path: string, errors: FieldError[]): void {
  if (!source.path) {
    errors.push(required(`${path}.path`))
    return
  }
  validateNoBacksteps(source.path, `${path}.path`, errors)
  if (source.type !== undefined && !HOST_PATH_TYPES.includes(source.type)) {
    errors.push(notSupported(`${path}.type`, source.type, HOST_PATH_TYPES))
  }
}

export function validateNfs(source: { server: string; path: string }, path: string, errors: FieldError[]): void {
  if (!source.server) errors.push(required(`${path}.server`))
  if (!source.path) errors.push(required(`${path}.path`))
  if (!source.path?.startsWith('/')) errors.push(invalidValue(`${path}.path`, source.path, 'must be an absolute path'))
}

export function validateCsiDriver(driver: string, path: string, errors: FieldError[]): void {
  if (!driver) errors.push(required(path))
  if (Buffer.byteLength(driver) > 63) {
    errors.push({ type: 'FieldValueTooLong', field: path, message: 'Too long: may not be more than 63 bytes' })
  }
  const name = driver.toLowerCase()
  for (const said of dns1123Subdomain(name)) errors.push(invalidValue(path, driver, said))
}

function validateCsi(
  source: { driver: string; nodePublishSecretRef?: { name?: string } },
  path: string,
  errors: FieldError[],
): void {
  validateCsiDriver(source.driver ?? '', `${path}.driver`, errors)
  if (!source.nodePublishSecretRef) return
  const { name } = source.nodePublishSecretRef
  if (!name) errors.push(required(`${path}.nodePublishSecretRef.name`))
  else for (const said of dns1123Subdomain(name)) errors.push(invalidValue(`${path}.name`, name, said))
}

function validateEphemeral(volume: Volume, podName: string, path: string, errors: FieldError[]): void {
  const template = volume.ephemeral?.volumeClaimTemplate
  const at = `${path}.ephemeral.volumeClaimTemplate`
  if (!template) errors.push(required(at))
  else validateClaimSpec(template.spec, `${at}.spec`, errors)
  if (!podName || !volume.name) return
  const claim = `${podName}-${volume.name}`
  for (const said of dns1123Subdomain(claim)) {
    errors.push(invalidValue(`${path}.name`, volume.name, `PVC name "${claim}": ${said}`))
  }
}

function validateMode(mode: number | undefined, path: string, errors: FieldError[]): void {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return
  errors.push(invalidValue(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive'))
}

function validateFiles(
  source: { defaultMode?: number; items?: KeyToPath[] } | undefined,
  path: string,
  errors: FieldError[],
): void {
  validateMode(source?.defaultMode, `${path}.defaultMode`, errors)
  source?.items?.forEach((item, index) => {
    validateKeyToPath(item, `${path}.items[${index}]`, errors)
  })
}

function validateKeyToPath(item: KeyToPath, path: string, errors: FieldError[]): void {
  if (!item.key) errors.push(required(`${path}.key`))
  if (!item.path) errors.push(required(`${path}.path`))
  validateLocalNonReservedPath(item.path ?? '', `${path}.path`, errors)
  validateMode(item.mode, `${path}.mode`, errors)
}

function validateDownwardFile(file: DownwardAPIVolumeFile, path: string, errors: FieldError[]): void {
  if (!file.path) errors.push(required(`${path}.path`))
  validateLocalNonReservedPath(file.path ?? '', `${path}.path`, errors)
  if (file.fieldRef) {
    validateVolumeFieldRef(file.fieldRef, `${path}.fieldRef`, errors)
    if (file.resourceFieldRef) {
      errors.push(invalidValue(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'))
    }
  } else if (file.resourceFieldRef) {
    validateResourceFieldRef(file.resourceFieldRef, true, `${path}.resourceFieldRef`, errors)
  } else errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'))
  validateMode(file.mode, `${path}.mode`, errors)
}

function validateProjected(projected: ProjectedVolumeSource, path: string, errors: FieldError[]): void {
  validateMode(projected.defaultMode, `${path}.defaultMode`, errors)
  const taken = new Set<string>()
  function take(file: string | undefined, shown: string): void {
    if (!file) return
    if (taken.has(file)) errors.push(invalidValue(path, shown, 'conflicting duplicate paths'))
    taken.add(file)
  }
  projected.sources?.forEach((source, index) => {
    const at = `${path}.sources[${index}]`
    for (const field of ['secret', 'configMap'] as const) {
      const part = source[field]
      if (!part) continue
      if (!part.name) errors.push(required(`${at}.${field}.name`))
      part.items?.forEach((item, position) => {
        validateKeyToPath(item, `${at}.${field}.items[${position}]`, errors)
        take(item.path, part.name ?? '')
      })
    }
    for (const file of source.downwardAPI?.items ?? []) {
      validateDownwardFile(file, `${at}.downwardAPI`, errors)
      take(file.path, file.path)
    }
    if (source.serviceAccountToken) validateTokenProjection(source.serviceAccountToken, at, path, errors)
    const bundle = source.clusterTrustBundle
    if (bundle) {
      if (!bundle.path) errors.push(required(`${at}.clusterTrustBundle.path`))
      validateLocalNonReservedPath(bundle.path ?? '', `${at}.clusterTrustBundle.path`, errors)
      take(bundle.path, bundle.path)
    }
    if (Object.values(source).filter((part) => part !== undefined).length > 1) {
      errors.push(forbidden(at, 'may not specify more than 1 volume type per source'))
    }
  })
}

function validateTokenProjection(
  token: { expirationSeconds?: number; path: string },
  at: string,
  path: string,
  errors: FieldError[],
): void {
  const seconds = token.expirationSeconds ?? 0
  const field = `${at}.serviceAccountToken.expirationSeconds`
  if (seconds < 600) errors.push(invalidValue(field, seconds, 'may not specify a duration less than 10 minutes'))
  if (seconds > 2 ** 32)
    errors.push(invalidValue(field, seconds, 'may not specify a duration larger than 2^32 seconds'))
  if (!token.path) errors.push(required(`${path}.path`))
  else validateLocalNonReservedPath(token.path, `${path}.path`, errors)
}
