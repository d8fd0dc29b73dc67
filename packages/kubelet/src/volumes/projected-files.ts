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

/** A file as objects of the API have it: nothing of it is made before it is charged. */
interface SourceFile extends Omit<ProjectedFile, 'data'> {
  path: string
  text: string
  encoding: 'utf8' | 'base64'
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

function only(source: Iterable<SourceFile>, { budget }: ProjectionSources): ProjectedFiles {
  const { files, add } = chargedFiles(budget)
  add(source)
  return { files, refreshAt: undefined }
}

/** Files by their paths, of which the last counts. What many of them hold is there once. */
function chargedFiles(budget: FilesBudget) {
  const files = new Map<string, ProjectedFile>()
  const made = { utf8: new Map<string, Buffer>(), base64: new Map<string, Buffer>() }
  return {
    files,
    /** Asks for one file after the other, and for no other once they are too many. */
    add(source: Iterable<SourceFile>): void {
      for (const { path, text, encoding, ...file } of source) {
        budget.spend(path, Buffer.byteLength(text, encoding))
        let data = made[encoding].get(text)
        if (!data) made[encoding].set(text, (data = Buffer.from(text, encoding)))
        files.set(path, { ...file, data })
      }
    },
  }
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
): Promise<Iterable<SourceFile>> {
  const name = source.name ?? ''
  const object = await sources.configMap(pod.metadata.namespace ?? '', name)
  if (!object && !source.optional) throw new VolumeError(`configmap ${JSON.stringify(name)} not found`)
  const data = { utf8: object?.data ?? {}, base64: object?.binaryData ?? {} }
  return keyedFiles(data, source, 'configmap references non-existent config key')
}

async function secretFiles(
  pod: PodObject,
  source: KeyedSource,
  { sources }: ProjectionSources,
): Promise<Iterable<SourceFile>> {
  const name = source.name ?? ''
  const object = await sources.secret(pod.metadata.namespace ?? '', name)
  if (!object && !source.optional) throw new VolumeError(`secret ${JSON.stringify(name)} not found`)
  return keyedFiles({ utf8: {}, base64: object?.data ?? {} }, source, 'references non-existent secret key')
}

const ENCODINGS = ['utf8', 'base64'] as const

/** Where keys are chosen, the others are not looked at: an object can have tens of thousands, and be named as often. */
function* keyedFiles(
  data: Readonly<Record<SourceFile['encoding'], Readonly<Record<string, string>>>>,
  { items, optional, mode = DEFAULT_MODE }: KeyedSource,
  missing: string,
): Generator<SourceFile> {
  if (!items?.length) {
    for (const encoding of ENCODINGS) {
      for (const [path, text] of Object.entries(data[encoding])) yield { path, text, encoding, mode }
    }
    return
  }
  for (const { key, path, mode: own } of items) {
    const encoding = ENCODINGS.find((each) => Object.hasOwn(data[each], key))
    if (encoding) yield { path, text: data[encoding][key] ?? '', encoding, mode: own ?? mode }
    else if (!optional) throw new VolumeError(`${missing}: ${key}`)
  }
}

function* downwardFiles(
  pod: PodObject,
  items: readonly DownwardAPIVolumeFile[] | undefined,
  { mode = DEFAULT_MODE, from }: { mode?: number | undefined; from: ProjectionSources },
): Generator<SourceFile> {
  const { place } = from
  for (const { path, mode: own, fieldRef, resourceFieldRef } of items ?? []) {
    const text = fieldRef
      ? fieldValue(pod, fieldRef, place)
      : resourceFieldRef
        ? resourceValue(pod, resourceFieldRef, { place })
        : ''
    yield { path, text, encoding: 'utf8', mode: own ?? mode }
  }
}

async function projectedSources(
  pod: PodObject,
  volume: string,
  { projected, from }: { projected: ProjectedVolumeSource; from: ProjectionSources },
): Promise<ProjectedFiles> {
  const mode = projected.defaultMode ?? DEFAULT_MODE
  const { files, add } = chargedFiles(from.budget)
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
      const owned = { mode: grouped ? 0o600 : mode, ...(owner !== undefined && { uid: owner }) }
      add([{ path, text: token.token, encoding: 'utf8', ...owned }])
      refreshAt = Math.min(refreshAt ?? Number.POSITIVE_INFINITY, refreshTime(token))
    } else {
      throw new VolumeError(`volume ${JSON.stringify(volume)} has a source that this node does not know`)
    }
  }
  return { files, refreshAt }
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
