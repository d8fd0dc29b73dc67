/** What a Pod says when it says nothing: the defaults of core/v1. */
import type { Container, Lifecycle, Pod, PodSpec, Probe, Volume } from 'kubernetes-types/core/v1.js'
import { applyPodLevelDefaults } from './pod-level-resources.ts'

const VOLUME_FILE_MODE = 0o644
const TOKEN_SECONDS = 3600

/** Fills in a Pod, once it has been decoded. */
export function applyPodDefaults(pod: Pod): void {
  const spec = pod.spec as PodSpec
  applyPodSpecDefaults(spec)
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const { resources } = container
    if (resources?.limits) resources.requests = { ...resources.limits, ...resources.requests }
    if (spec.hostNetwork) for (const port of container.ports ?? []) port.hostPort ||= port.containerPort
  }
  applyPodLevelDefaults(spec)
  alignPodIps(pod)
  spec.enableServiceLinks ??= true
}

/** `podIP` is the first of `podIPs`; where they differ, the older field wins. */
function alignPodIps({ status }: Pod): void {
  if (!status) return
  if (status.podIP && status.podIPs?.[0]?.ip !== status.podIP) Object.assign(status, { podIPs: [{ ip: status.podIP }] })
  const first = status.podIPs?.[0]?.ip
  if (first) Object.assign(status, { podIP: first })
}

/** What a PodSpec says when it says nothing, also inside of a template. */
export function applyPodSpecDefaults(spec: PodSpec): void {
  spec.dnsPolicy ||= 'ClusterFirst'
  spec.restartPolicy ||= 'Always'
  spec.securityContext ??= {}
  spec.terminationGracePeriodSeconds ??= 30
  // Deletion treats a negative one as this; so it is stored.
  if (spec.terminationGracePeriodSeconds < 0) spec.terminationGracePeriodSeconds = 1
  spec.schedulerName ||= 'default-scheduler'
  // The older of the two names is kept in step for clients that only know it.
  const account = spec.serviceAccountName || spec.serviceAccount
  if (account) {
    spec.serviceAccountName = account
    spec.serviceAccount = account
  }
  for (const volume of spec.volumes ?? []) applyVolumeDefaults(volume)
  for (const container of spec.containers ?? []) applyContainerDefaults(container)
  for (const container of spec.initContainers ?? []) applyContainerDefaults(container)
  for (const container of spec.ephemeralContainers ?? []) applyContainerDefaults(container)
}

function applyContainerDefaults(container: Container | NonNullable<PodSpec['ephemeralContainers']>[number]): void {
  container.imagePullPolicy ||= tagOf(container.image ?? '') === 'latest' ? 'Always' : 'IfNotPresent'
  container.terminationMessagePath ||= '/dev/termination-log'
  container.terminationMessagePolicy ||= 'File'
  for (const port of container.ports ?? []) port.protocol ||= 'TCP'
  for (const variable of container.env ?? []) {
    const field = variable.valueFrom?.fieldRef
    if (field) field.apiVersion ||= 'v1'
    const resource = variable.valueFrom?.resourceFieldRef
    if (resource) resource.divisor ??= '0'
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) applyProbeDefaults(probe)
  }
  if (container.lifecycle) applyLifecycleDefaults(container.lifecycle)
}

function applyProbeDefaults(probe: Probe): void {
  probe.timeoutSeconds ||= 1
  probe.periodSeconds ||= 10
  probe.successThreshold ||= 1
  probe.failureThreshold ||= 3
  if (probe.httpGet) applyHttpGetDefaults(probe.httpGet)
  if (probe.grpc) probe.grpc.service ??= ''
}

function applyLifecycleDefaults(lifecycle: Lifecycle): void {
  for (const handler of [lifecycle.postStart, lifecycle.preStop]) {
    if (handler?.httpGet) applyHttpGetDefaults(handler.httpGet)
  }
}

function applyHttpGetDefaults(action: { path?: string; scheme?: string }): void {
  action.path ||= '/'
  action.scheme ||= 'HTTP'
}

function applyVolumeDefaults(volume: Volume): void {
  const { configMap, secret, downwardAPI, projected, hostPath, iscsi, rbd, azureDisk, scaleIO } = volume
  if (Object.keys(volume).every((field) => field === 'name')) volume.emptyDir = {}
  if (configMap) configMap.defaultMode ??= VOLUME_FILE_MODE
  if (secret) secret.defaultMode ??= VOLUME_FILE_MODE
  if (downwardAPI) {
    downwardAPI.defaultMode ??= VOLUME_FILE_MODE
    for (const file of downwardAPI.items ?? []) if (file.fieldRef) file.fieldRef.apiVersion ||= 'v1'
  }
  if (projected) {
    projected.defaultMode ??= VOLUME_FILE_MODE
    for (const source of projected.sources ?? []) {
      if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= TOKEN_SECONDS
      for (const file of source.downwardAPI?.items ?? []) if (file.fieldRef) file.fieldRef.apiVersion ||= 'v1'
    }
  }
  if (hostPath) hostPath.type ??= ''
  if (iscsi) iscsi.iscsiInterface ||= 'default'
  if (rbd) {
    rbd.pool ||= 'rbd'
    rbd.user ||= 'admin'
    rbd.keyring ||= '/etc/ceph/keyring'
  }
  if (azureDisk) {
    azureDisk.cachingMode ??= 'ReadWrite'
    azureDisk.fsType ??= 'ext4'
    azureDisk.kind ??= 'Shared'
    azureDisk.readOnly ??= false
  }
  if (scaleIO) {
    scaleIO.storageMode ||= 'ThinProvisioned'
    scaleIO.fsType ||= 'xfs'
  }
  const claim = volume.ephemeral?.volumeClaimTemplate?.spec
  if (claim) claim.volumeMode ??= 'Filesystem'
}

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const REFERENCE = new RegExp(
  `^(?:((?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::\\d+)?)/)?(${COMPONENT}(?:/${COMPONENT})*)` +
    '(?::(\\w[\\w.-]{0,127}))?(@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$',
)

const LONGEST_REPOSITORY = 255

/** Without its registry. A first part that could be one is one only where it looks like a host's name. */
function repositoryOf(first: string | undefined, rest: string): string {
  if (first === undefined) return `library/${rest}`
  const isHost = /[.:A-Z]/.test(first) || first === 'localhost'
  if (!isHost) return `${first}/${rest}`
  return first === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest
}

/** The tag of an image's name: `latest` where there is neither tag nor digest, empty where the name is no name. */
function tagOf(image: string): string {
  const match = REFERENCE.exec(image)
  if (!match || repositoryOf(match[1], match[2] ?? '').length > LONGEST_REPOSITORY) return ''
  return match[3] ?? (match[4] ? '' : 'latest')
}
