/**
 * Sources of volumes that storage drivers mount, in Pods and in PersistentVolumes. No node of this server mounts them;
 * what is refused of them is what kube-apiserver refuses, so that a manifest that is taken here is taken there.
 */
import type { PersistentVolumeSpec, Volume } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label } from '../names.ts'

type DriverSources = Pick<
  PersistentVolumeSpec,
  | 'awsElasticBlockStore'
  | 'azureDisk'
  | 'azureFile'
  | 'cephfs'
  | 'cinder'
  | 'fc'
  | 'flexVolume'
  | 'flocker'
  | 'gcePersistentDisk'
  | 'glusterfs'
  | 'iscsi'
  | 'photonPersistentDisk'
  | 'portworxVolume'
  | 'quobyte'
  | 'rbd'
  | 'scaleIO'
  | 'storageos'
  | 'vsphereVolume'
>
type Name = keyof DriverSources

interface Owner {
  kind: 'Pod' | 'PersistentVolume'
  /** Of the volume. */
  name: string
}

/** `at` is the path of the source, as errors name it. */
type Rule<Source> = (source: Source, at: string, errors: FieldError[], owner: Owner) => void

/** Looks at the source `name` of a volume, below `path`; says whether it is one of drivers at all. */
export function validateDriverSource(
  volume: PersistentVolumeSpec | Volume,
  name: string,
  { path, errors, owner }: { path: string; errors: FieldError[]; owner: Owner },
): boolean {
  if (!isDriverSource(name)) return false
  check(name, volume[name], { path, errors, owner })
  return true
}

function isDriverSource(name: string): name is Name {
  return Object.hasOwn(RULES, name)
}

function check<K extends Name>(
  name: K,
  source: DriverSources[K],
  { path, errors, owner }: { path: string; errors: FieldError[]; owner: Owner },
): void {
  // The one whose errors have another name than the field.
  const said = name === 'gcePersistentDisk' ? 'persistentDisk' : name
  if (source) RULES[name](source, `${path}.${said}`, errors, owner)
}

/** Only that these are there. */
function needs<Source extends object>(...fields: ReadonlyArray<keyof Source & string>): Rule<Source> {
  return (source, at, errors) => {
    for (const field of fields) {
      const value: unknown = source[field]
      if (!value || (Array.isArray(value) && value.length === 0)) errors.push(required(`${at}.${field}`))
    }
  }
}

function validatePartition(partition: number | undefined, at: string, errors: FieldError[]): void {
  if (partition !== undefined && (partition < 0 || partition > 255))
    errors.push(invalidValue(`${at}.partition`, partition, 'must be between 1 and 255, inclusive'))
}

function validateLun(lun: number, at: string, errors: FieldError[]): void {
  if (lun < 0 || lun > 255) errors.push(invalidValue(`${at}.lun`, lun, 'must be between 0 and 255, inclusive'))
}

/** A Secret that stands beside the Pod, or anywhere for a PersistentVolume. */
function validateSecret(
  secret: { name?: string; namespace?: string } | undefined,
  at: string,
  errors: FieldError[],
  owner: Owner,
): void {
  if (!secret) return
  if (!secret.name) errors.push(required(`${at}.secretRef.name`))
  if (owner.kind === 'PersistentVolume' && !secret.namespace) errors.push(required(`${at}.secretRef.namespace`))
}

function validateLabel(value: string, at: string, errors: FieldError[]): void {
  for (const said of dns1123Label(value)) errors.push(invalidValue(at, value, said))
}

const HOST_PORTS = 'must be a host:port pair or multiple pairs separated by commas'

/** Kubernetes finds the first form anywhere in the name, which takes the square of its length here. */
const INITIATORS: ReadonlyArray<[prefix: string, form: RegExp]> = [
  ['iqn', /^iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+$/],
  ['eui', /^eui.[A-Za-z0-9]{16}$/],
  ['naa', /^naa.[A-Za-z0-9]{32}$/],
]

function validateInitiator(value: string, at: string, errors: FieldError[], { kind }: Owner): void {
  const known = INITIATORS.find(([prefix]) => value.startsWith(prefix))
  if (known?.[1].test(value)) return
  const whole =
    kind === 'Pod' && !known ? 'must be valid format starting with iqn, eui, or naa' : 'must be valid format'
  errors.push(invalidValue(at, value, whole))
}

const validateIscsi: Rule<NonNullable<DriverSources['iscsi']>> = (source, at, errors, owner) => {
  const { targetPortal, initiatorName, iqn, secretRef } = source
  if (!targetPortal) errors.push(required(`${at}.targetPortal`))
  if (initiatorName !== undefined && Buffer.byteLength(`${owner.name}:${targetPortal}`) > 64) {
    const limit = 'must be under 64 characters if iscsi.initiatorName is specified.'
    const said = `Total length of <volume name>:<iscsi.targetPortal> ${limit}`
    if (owner.kind === 'Pod') errors.push(invalidValue(at.replace(/iscsi$/, 'name'), owner.name, said))
    else errors.push(invalidValue(`${at}.targetportal`, targetPortal, said))
  }
  if (!iqn) errors.push(required(`${at}.iqn`))
  else validateInitiator(iqn, `${at}.iqn`, errors, owner)
  validateLun(source.lun, at, errors)
  if ((source.chapAuthDiscovery || source.chapAuthSession) && !secretRef) errors.push(required(`${at}.secretRef`))
  if (owner.kind === 'PersistentVolume' && secretRef && !secretRef.name) errors.push(required(`${at}.secretRef.name`))
  if (initiatorName !== undefined) validateInitiator(initiatorName, `${at}.initiatorname`, errors, owner)
}

const validateFibreChannel: Rule<NonNullable<DriverSources['fc']>> = (source, at, errors) => {
  const [names, ids] = [source.targetWWNs ?? [], source.wwids ?? []]
  if (names.length === 0 && ids.length === 0)
    errors.push(required(`${at}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'))
  if (names.length === 0) return
  if (ids.length > 0)
    errors.push(invalidValue(`${at}.targetWWNs`, names, 'targetWWNs and wwids can not be specified simultaneously'))
  if (source.lun === undefined) errors.push(required(`${at}.lun`, 'lun is required if targetWWNs is specified'))
  else validateLun(source.lun, at, errors)
}

const MANAGED_DISK = '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}'
const BLOB_DISK = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd'
const CACHING_MODES = ['None', 'ReadOnly', 'ReadWrite']
const DISK_KINDS = ['Dedicated', 'Managed', 'Shared']

const validateAzureDisk: Rule<NonNullable<DriverSources['azureDisk']>> = (source, at, errors, owner) => {
  needs<typeof source>('diskName', 'diskURI')(source, at, errors, owner)
  const { cachingMode, kind, diskURI } = source
  if (cachingMode !== undefined && !CACHING_MODES.includes(cachingMode))
    errors.push(notSupported(`${at}.cachingMode`, cachingMode, CACHING_MODES))
  if (kind === undefined) return
  if (!DISK_KINDS.includes(kind)) errors.push(notSupported(`${at}.kind`, kind, DISK_KINDS))
  const [prefix, form] = kind === 'Managed' ? ['/subscriptions/', MANAGED_DISK] : ['https://', BLOB_DISK]
  if (!diskURI.startsWith(prefix)) errors.push(notSupported(`${at}.diskURI`, diskURI, [form]))
}

const validateQuobyte: Rule<NonNullable<DriverSources['quobyte']>> = (source, at, errors) => {
  const { registry, tenant = '', volume } = source
  if (!registry) errors.push(required(`${at}.registry`, HOST_PORTS))
  else if (Buffer.byteLength(tenant) > 64)
    errors.push(required(`${at}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'))
  else
    for (const pair of registry.split(','))
      if (!/^(?:\[[^\][]*\]|[^:\][]*):[^:\][]*$/.test(pair))
        errors.push(invalidValue(`${at}.registry`, registry, HOST_PORTS))
  if (!volume) errors.push(required(`${at}.volume`))
}

const validateFlocker: Rule<NonNullable<DriverSources['flocker']>> = ({ datasetName, datasetUUID }, at, errors) => {
  if (!datasetName && !datasetUUID) errors.push(required(at, 'one of datasetName and datasetUUID is required'))
  if (datasetName && datasetUUID)
    errors.push(invalidValue(at, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'))
  if (datasetName?.includes('/')) errors.push(invalidValue(`${at}.datasetName`, datasetName, "must not contain '/'"))
}

const validateFlexVolume: Rule<NonNullable<DriverSources['flexVolume']>> = ({ driver, options }, at, errors) => {
  if (!driver) errors.push(required(`${at}.driver`))
  for (const key of Object.keys(options ?? {})) {
    const slash = key.indexOf('/')
    if (!/(?:^|\.)(?:kubernetes|k8s)\.io$/i.test(slash < 0 ? key : key.slice(0, slash))) continue
    errors.push(invalidValue(`${at}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved'))
  }
}

const RULES: { [K in Name]: Rule<NonNullable<DriverSources[K]>> } = {
  awsElasticBlockStore(source, at, errors) {
    if (!source.volumeID) errors.push(required(`${at}.volumeID`))
    validatePartition(source.partition, at, errors)
  },
  azureDisk: validateAzureDisk,
  azureFile(source, at, errors, owner) {
    needs<typeof source>('secretName', 'shareName')(source, at, errors, owner)
    if (source.secretNamespace === '') errors.push(required(`${at}.secretNamespace`))
  },
  cephfs: needs('monitors'),
  cinder(source, at, errors, owner) {
    if (!source.volumeID) errors.push(required(`${at}.volumeID`))
    validateSecret(source.secretRef, at, errors, owner)
  },
  fc: validateFibreChannel,
  flexVolume: validateFlexVolume,
  flocker: validateFlocker,
  gcePersistentDisk(source, at, errors) {
    if (!source.pdName) errors.push(required(`${at}.pdName`))
    validatePartition(source.partition, at, errors)
  },
  glusterfs(source, at, errors, owner) {
    needs<typeof source>('endpoints', 'path')(source, at, errors, owner)
    const { endpointsNamespace: namespace } = source
    const valid = 'if the endpointnamespace is set, it must be a valid namespace name'
    if (namespace === '') errors.push(invalidValue(`${at}.endpointsNamespace`, namespace, valid))
    else if (namespace !== undefined) validateLabel(namespace, `${at}.endpointsNamespace`, errors)
  },
  iscsi: validateIscsi,
  photonPersistentDisk: needs('pdID'),
  portworxVolume: needs('volumeID'),
  quobyte: validateQuobyte,
  rbd: needs('monitors', 'image'),
  scaleIO: needs('gateway', 'system', 'volumeName'),
  storageos(source, at, errors, owner) {
    if (!source.volumeName) errors.push(required(`${at}.volumeName`))
    else validateLabel(source.volumeName, `${at}.volumeName`, errors)
    if (source.volumeNamespace) validateLabel(source.volumeNamespace, `${at}.volumeNamespace`, errors)
    validateSecret(source.secretRef, at, errors, owner)
  },
  vsphereVolume: needs('volumePath'),
}
