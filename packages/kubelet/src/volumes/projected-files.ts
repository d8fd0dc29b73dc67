/** The files of configMap, secret, downwardAPI and projected volumes. */
import type { PodObject } from '@caisson/client'
import type { DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource, Volume } from 'kubernetes-types/core/v1.d.ts'
import { fieldValue, type PodPlace, resourceValue } from '../containers/downward-api.ts'
import type { IssuedToken, PodSources } from '../pod-sources.ts'
import { specOf } from '../pods/observed-pod.ts'
import type { FilesBudget } from './files-budget.ts'
import type { ProjectedFile } from './projection.ts'
import { VolumeError } from './volume-error.ts'

const DEFAULT_MODE = 0o644
const DEFAULT_TOKEN_SECONDS = 3600

export interface ProjectionSources {
  sources: Pick<PodSources, 'configMap' | 'secret' | 'requestToken'>
  place: PodPlace
  now: number
  /** Tokens that were issued for the Pod, by volume, place in it, and audience. They are added to. */
  tokens: Map<string, IssuedToken & { issuedAt: number }>
  /** Of the Pod. */
  budget: FilesBudget
}

export interface ProjectedFiles {
  files: Map<string, ProjectedFile>
  /** When a token among them should be a new one, ms since the epoch. */
  refreshAt: number | undefined
}

/** Undefined where the volume is of another kind. Throws a VolumeError where something that is not optional is missing. */
export async function projectedFiles(
  pod: PodObject,
  volume: Volume,
  from: ProjectionSources,
): Promise<ProjectedFiles | undefined> {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap) {
    return only(await configMapFiles(pod, { ...configMap, mode: configMap.defaultMode }, from), from)
  }
  if (secret) {
    const { secretName, items, optional, defaultMode } = secret
    return only(await secretFiles(pod, { name: secretName, items, optional, mode: defaultMode }, from), from)
  }
  if (downwardAPI) return only(downwardFiles(pod, downwardAPI.items, { mode: downwardAPI.defaultMode, from }), from)
  if (projected) return await projectedSources(pod, volume.name, { projected, from })
  return undefined
}

function only(files: Map<string, ProjectedFile>, { budget }: ProjectionSources): ProjectedFiles {
  budget.spend(files)
  return { files, refreshAt: undefined }
}

interface KeyedSource {
  name?: string | undefined
  items?: KeyToPath[] | undefined
  optional?: boolean | undefined
  mode?: number | undefined
}

async function configMapFiles(
  pod: PodObject,
  source: KeyedSource,
  { sources }: ProjectionSources,
): Promise<Map<string, ProjectedFile>> {
  const name = source.name ?? ''
  const object = await sources.configMap(pod.metadata.namespace ?? '', name)
  if (!object && !source.optional) throw new VolumeError(`configmap ${JSON.stringify(name)} not found`)
  const data = new Map([
    ...Object.entries(object?.data ?? {}).map(([key, value]): [string, Buffer] => [key, Buffer.from(value)]),
    ...Object.entries(object?.binaryData ?? {}).map(([key, value]): [string, Buffer] => [
      key,
      Buffer.from(value, 'base64'),
    ]),
  ])
  return keyedFiles(data, source, 'configmap references non-existent config key')
}

async function secretFiles(
  pod: PodObject,
  source: KeyedSource,
  { sources }: ProjectionSources,
): Promise<Map<string, ProjectedFile>> {
  const name = source.name ?? ''
  const object = await sources.secret(pod.metadata.namespace ?? '', name)
  if (!object && !source.optional) throw new VolumeError(`secret ${JSON.stringify(name)} not found`)
  const data = new Map(
    Object.entries(object?.data ?? {}).map(([key, value]): [string, Buffer] => [key, Buffer.from(value, 'base64')]),
  )
  return keyedFiles(data, source, 'references non-existent secret key')
}

function keyedFiles(
  data: ReadonlyMap<string, Buffer>,
  { items, optional, mode = DEFAULT_MODE }: KeyedSource,
  missing: string,
): Map<string, ProjectedFile> {
  if (!items?.length) return new Map([...data].map(([key, value]) => [key, { data: value, mode }]))
  const files = new Map<string, ProjectedFile>()
  for (const { key, path, mode: own } of items) {
    const value = data.get(key)
    if (value) files.set(path, { data: value, mode: own ?? mode })
    else if (!optional) throw new VolumeError(`${missing}: ${key}`)
  }
  return files
}

function downwardFiles(
  pod: PodObject,
  items: readonly DownwardAPIVolumeFile[] | undefined,
  { mode = DEFAULT_MODE, from }: { mode?: number | undefined; from: ProjectionSources },
): Map<string, ProjectedFile> {
  const { place } = from
  return new Map(
    (items ?? []).map(({ path, mode: own, fieldRef, resourceFieldRef }) => {
      const text = fieldRef
        ? fieldValue(pod, fieldRef, place)
        : resourceFieldRef
          ? resourceValue(pod, resourceFieldRef, { place })
          : ''
      return [path, { data: Buffer.from(text), mode: own ?? mode }]
    }),
  )
}

async function projectedSources(
  pod: PodObject,
  volume: string,
  { projected, from }: { projected: ProjectedVolumeSource; from: ProjectionSources },
): Promise<ProjectedFiles> {
  const mode = projected.defaultMode ?? DEFAULT_MODE
  const files = new Map<string, ProjectedFile>()
  let refreshAt: number | undefined
  for (const [index, source] of (projected.sources ?? []).entries()) {
    const { configMap, secret, downwardAPI, serviceAccountToken } = source
    if (configMap) add(await configMapFiles(pod, { ...configMap, mode }, from))
    else if (secret) add(await secretFiles(pod, { ...secret, mode }, from))
    else if (downwardAPI) add(downwardFiles(pod, downwardAPI.items, { mode, from }))
    else if (serviceAccountToken) {
      const { audience, expirationSeconds = DEFAULT_TOKEN_SECONDS, path } = serviceAccountToken
      const token = await currentToken(pod, { key: `${volume}/${index}`, audience, expirationSeconds }, from)
      const owner = commonUser(pod)
      const grouped = owner !== undefined || specOf(pod).securityContext?.fsGroup !== undefined
      const data = Buffer.from(token.token)
      add(new Map([[path, { data, mode: grouped ? 0o600 : mode, ...(owner !== undefined && { uid: owner }) }]]))
      refreshAt = Math.min(refreshAt ?? Number.POSITIVE_INFINITY, refreshTime(token))
    } else {
      throw new VolumeError(`volume ${JSON.stringify(volume)} has a source that this node does not know`)
    }
  }
  return { files, refreshAt }

  function add(more: ReadonlyMap<string, ProjectedFile>): void {
    from.budget.spend(more)
    for (const [path, file] of more) files.set(path, file)
  }
}

/** Long before it ends: at four fifths of its time, and at least once a day. */
function refreshTime({ issuedAt, expiresAt }: IssuedToken & { issuedAt: number }): number {
  return Math.min(issuedAt + (expiresAt - issuedAt) * 0.8, issuedAt + 24 * 60 * 60 * 1000)
}

async function currentToken(
  pod: PodObject,
  { key, audience, expirationSeconds }: { key: string; audience: string | undefined; expirationSeconds: number },
  { sources, tokens, now }: ProjectionSources,
): Promise<IssuedToken & { issuedAt: number }> {
  const known = tokens.get(key)
  if (known && now < refreshTime(known)) return known
  const issued = await sources.requestToken({
    namespace: pod.metadata.namespace ?? '',
    serviceAccount: specOf(pod).serviceAccountName || 'default',
    audience: audience || undefined,
    expirationSeconds,
    pod: { name: pod.metadata.name ?? '', uid: pod.metadata.uid ?? '' },
  })
  const token = { ...issued, issuedAt: now }
  tokens.set(key, token)
  return token
}

/** The user that all containers run as, where the Pod says so: the token then belongs to it alone. */
function commonUser(pod: PodObject): number | undefined {
  const { containers, initContainers = [], securityContext } = specOf(pod)
  const users = new Set(
    [...initContainers, ...containers].map(
      (container) => container.securityContext?.runAsUser ?? securityContext?.runAsUser,
    ),
  )
  return users.size === 1 ? [...users][0] : undefined
}
