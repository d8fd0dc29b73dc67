/** The checks that the restricted level adds: the practices of a hardened Pod. In the order of their ids. */
import {
  allContainers,
  type Container,
  list,
  type PodView,
  podSecurityContextOf,
  securityContextOf,
} from '../pod-shape.ts'
import { findBadSeccomp } from './baseline-checks.ts'
import { type Check, containersNamed, plural, quoted, setters, sorted, type Violation } from './violation.ts'

export const RESTRICTED_CHECKS: readonly Check[] = [
  { id: 'allowPrivilegeEscalation', since: 8, find: unlessWindows(findPrivilegeEscalation) },
  {
    id: 'capabilities_restricted',
    since: 22,
    find: unlessWindows(findCapabilities),
    replaces: 'capabilities_baseline',
  },
  { id: 'restrictedVolumes', since: 0, find: findVolumes, replaces: 'hostPathVolumes' },
  { id: 'runAsNonRoot', since: 0, find: findRunAsNonRoot },
  { id: 'runAsUser', since: 23, find: findRunAsUser },
  {
    id: 'seccompProfile_restricted',
    since: 19,
    find: unlessWindows(findSeccomp),
    replaces: 'seccompProfile_baseline',
  },
]

/** Since 1.25, Pods that say they are for Windows need not set what only Linux has. */
function unlessWindows(find: (pod: PodView) => Violation | undefined): Check['find'] {
  return (pod, minor) => (minor >= 25 && pod.spec.os?.name === 'windows' ? undefined : find(pod))
}

function findPrivilegeEscalation({ spec }: PodView): Violation | undefined {
  const bad = allContainers(spec).filter((one) => securityContextOf(one).allowPrivilegeEscalation !== false)
  if (bad.length === 0) return undefined
  return {
    reason: 'allowPrivilegeEscalation != false',
    detail: `${containersNamed(bad)} must set securityContext.allowPrivilegeEscalation=false`,
  }
}

function findCapabilities({ spec }: PodView): Violation | undefined {
  const capabilitiesOf = (container: Container) => securityContextOf(container).capabilities
  const addedBy = (container: Container) =>
    list<string>(capabilitiesOf(container)?.add).filter((one) => one !== 'NET_BIND_SERVICE')
  const keeping = allContainers(spec).filter((one) => !list<string>(capabilitiesOf(one)?.drop).includes('ALL'))
  const adding = allContainers(spec).filter((one) => addedBy(one).length > 0)
  const details = [
    ...(keeping.length > 0 ? [`${containersNamed(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding.length > 0
      ? [
          `${containersNamed(adding)} must not include ${quoted(sorted(adding.flatMap(addedBy)))} in securityContext.capabilities.add`,
        ]
      : []),
  ]
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') }
}

const PLAIN_VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
] as const

const OTHER_VOLUMES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'vsphereVolume',
  'quobyte',
  'azureDisk',
  'photonPersistentDisk',
  'portworxVolume',
  'scaleIO',
  'storageos',
] as const

function findVolumes({ spec }: PodView): Violation | undefined {
  const volumes = list(spec.volumes as ({ name?: string } & Record<string, unknown>)[])
  const bad = volumes.filter((volume) => !PLAIN_VOLUMES.some((source) => volume[source]))
  if (bad.length === 0) return undefined
  const types = sorted(bad.map((volume) => OTHER_VOLUMES.find((source) => volume[source]) ?? 'unknown'))
  const names = quoted(bad.map(({ name }) => name ?? ''))
  const use = bad.length === 1 ? 'uses' : 'use'
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', bad.length)} ${names} ${use} ${plural('restricted volume type', types.length)} ${quoted(types)}`,
  }
}

function findRunAsNonRoot({ spec }: PodView): Violation | undefined {
  const reason = 'runAsNonRoot != true'
  const { runAsNonRoot: ofPod } = podSecurityContextOf(spec)
  const valueOf = (container: Container) => securityContextOf(container).runAsNonRoot ?? undefined
  const who = setters(
    ofPod === false,
    allContainers(spec).filter((one) => valueOf(one) === false),
  )
  if (who !== '') return { reason, detail: `${who} must not set securityContext.runAsNonRoot=false` }
  const silent = ofPod ? [] : allContainers(spec).filter((one) => valueOf(one) === undefined)
  if (silent.length === 0) return undefined
  return { reason, detail: `pod or ${containersNamed(silent)} must set securityContext.runAsNonRoot=true` }
}

function findRunAsUser({ spec }: PodView): Violation | undefined {
  const who = setters(
    podSecurityContextOf(spec).runAsUser === 0,
    allContainers(spec).filter((one) => securityContextOf(one).runAsUser === 0),
  )
  return who === '' ? undefined : { reason: 'runAsUser=0', detail: `${who} must not set runAsUser=0` }
}

function findSeccomp(pod: PodView): Violation | undefined {
  const bad = findBadSeccomp(pod)
  if (bad) return bad
  const { spec } = pod
  if (podSecurityContextOf(spec).seccompProfile) return undefined
  const silent = allContainers(spec).filter((one) => !securityContextOf(one).seccompProfile)
  if (silent.length === 0) return undefined
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containersNamed(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  }
}
