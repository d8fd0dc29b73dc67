/** Finds out what an image consists of: from its name to the manifest for this machine. */
import { createHash } from 'node:crypto'
import { hostArchitecture } from '../native/native-programs.ts'
import { RuntimeError } from '../runtime-error.ts'
import { isForThisMachine, namePlatforms, saysPlatform } from './platform.ts'
import { readBounded } from './read-bounded.ts'
import { lie } from './registry-failure.ts'
import type { RegistrySession } from './registry-session.ts'

/** What a manifest says of a blob. */
export interface Descriptor {
  mediaType: string
  /** `sha256:` and 64 hexadecimal digits. */
  digest: string
  size: number
}

export interface RemoteImage {
  /** Of what the name leads to: an index, where the image is for several machines. */
  digest: string
  /** For this machine. */
  manifest: { digest: string; mediaType: string; bytes: Buffer }
  config: Descriptor
  /** Lowest first. */
  layers: Descriptor[]
}

const INDEXES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const
const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const
const ACCEPTED_MANIFESTS = [...INDEXES, ...MANIFESTS].join(', ')
const CONFIGS = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json']
const LAYERS = [
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
]
const DIGEST = /^sha256:[0-9a-f]{64}$/
/** What the distribution specification asks registries to take. */
const LONGEST_MANIFEST = 4 * 1024 * 1024
const DEEPEST_INDEX = 3
/** That are read until the image for this machine is found. */
const MOST_DOCUMENTS = 20
export const MOST_LAYERS = 500

export interface ResolveOptions {
  signal: AbortSignal
  /** Until when the first answer has to be there, ms since the process began. */
  deadline?: number | undefined
}

/** The digest that a tag has now; undefined where the server does not say. Downloads nothing. */
export async function currentDigest(
  session: RegistrySession,
  reference: string,
  options: ResolveOptions,
): Promise<string | undefined> {
  const request = { ...options, method: 'HEAD' as const, headers: () => ({ accept: ACCEPTED_MANIFESTS }) }
  return session.read(`manifests/${reference}`, request, async (answer) => {
    answer.discard()
    if (answer.status === 404) throw notFound(session, reference)
    const digest = answer.headers['docker-content-digest']
    return answer.status === 200 && typeof digest === 'string' && DIGEST.test(digest) ? digest : undefined
  })
}

/**
 * Reads the manifest of `reference`, a tag or a digest.
 * @throws RuntimeError `image-missing` where there is none, `bad-image` where it is not what it should be
 */
export async function resolveImage(
  session: RegistrySession,
  reference: string,
  options: ResolveOptions,
): Promise<RemoteImage> {
  const found: unknown[] = []
  let documents = 0

  async function read(each: string): Promise<ManifestDocument> {
    if (++documents > MOST_DOCUMENTS) throw lie(`the indexes of the image lead to more than ${MOST_DOCUMENTS} others`)
    return await fetchManifest(session, each, options)
  }

  /** Undefined where an index has nothing for this machine, whichever of its own indexes is looked into. */
  async function search(document: ManifestDocument, depth: number): Promise<ManifestDocument | undefined> {
    if (!document.index) return document
    if (depth === DEEPEST_INDEX) throw lie('the indexes of the image are nested too deeply')
    found.push(...document.index.map(({ platform }) => platform))
    for (const { digest } of choicesForThisMachine(document.index)) {
      const chosen = await search(await read(digest), depth + 1)
      if (chosen) return chosen
    }
    return undefined
  }

  const document = await read(reference)
  const chosen = await search(document, 0)
  if (chosen) return { digest: document.digest, ...imageOf(chosen) }
  const others = namePlatforms(found)
  const instead = others === '' ? '' : `, only for ${others}`
  throw new RuntimeError(
    'image-missing',
    `the image is not for this machine: it has nothing for linux/${hostArchitecture()}${instead}`,
  )
}

interface ManifestDocument {
  digest: string
  mediaType: string
  bytes: Buffer
  content: Record<string, unknown>
  /** Its entries, where it is an index. */
  index: Record<string, unknown>[] | undefined
}

async function fetchManifest(
  session: RegistrySession,
  reference: string,
  options: ResolveOptions,
): Promise<ManifestDocument> {
  const request = { ...options, headers: () => ({ accept: ACCEPTED_MANIFESTS }) }
  return session.read(`manifests/${reference}`, request, async (answer) => {
    if (answer.status !== 200) {
      answer.discard()
      throw notFound(session, reference)
    }
    const bytes = await readBounded(answer, LONGEST_MANIFEST)
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const said = answer.headers['docker-content-digest']
    const expected = DIGEST.test(reference) ? reference : typeof said === 'string' ? said : digest
    if (expected !== digest) throw lie(`${answer.url.host} gave a manifest with the digest ${digest} for ${expected}`)
    const type = (answer.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
    return readDocument(bytes, { digest, type })
  })
}

function readDocument(bytes: Buffer, { digest, type }: { digest: string; type: string }): ManifestDocument {
  const content = parseJsonObject(bytes, 'the manifest')
  const mediaType = typeof content['mediaType'] === 'string' ? content['mediaType'] : type
  const isIndex = isIndexType(mediaType)
  if (!isIndex && !isManifestType(mediaType))
    throw lie(`expected the manifest of a container image, found ${JSON.stringify(mediaType.slice(0, 100))}`)
  // Something that is both would be read differently by different readers.
  if ('manifests' in content === 'layers' in content || 'manifests' in content !== isIndex)
    throw lie(`the manifest is not what its media type ${mediaType} says`)
  return { digest, mediaType, bytes, content, index: isIndex ? objectsOf(content['manifests']) : undefined }
}

/** What says that it is for this machine first, images before indexes of them; of what does not say it the other way round. */
function choicesForThisMachine(entries: readonly Record<string, unknown>[]): Descriptor[] {
  const rank = (entry: Record<string, unknown>): number =>
    isIndexType(entry['mediaType']) ? 1 : saysPlatform(entry['platform']) ? 0 : 2
  return entries
    .filter(
      ({ mediaType, platform }) => (isIndexType(mediaType) || isManifestType(mediaType)) && isForThisMachine(platform),
    )
    .sort((one, other) => rank(one) - rank(other))
    .map((entry) => descriptorOf(entry, 'an entry of the index'))
}

function isIndexType(mediaType: unknown): boolean {
  return (INDEXES as readonly unknown[]).includes(mediaType)
}

function isManifestType(mediaType: unknown): boolean {
  return (MANIFESTS as readonly unknown[]).includes(mediaType)
}

function imageOf({ content, digest, mediaType, bytes }: ManifestDocument): Omit<RemoteImage, 'digest'> {
  const config = descriptorOf(content['config'], 'the configuration')
  if (!CONFIGS.includes(config.mediaType))
    throw lie(`expected a container image, found an artifact of type ${JSON.stringify(config.mediaType.slice(0, 100))}`)
  const layers = objectsOf(content['layers']).map((layer) => descriptorOf(layer, 'a layer'))
  if (layers.length > MOST_LAYERS) throw lie(`the image has more than ${MOST_LAYERS} layers`)
  for (const { mediaType: type } of layers)
    if (!LAYERS.includes(type))
      throw lie(`a layer has the media type ${JSON.stringify(type.slice(0, 100))}, which is none of an image`)
  return { manifest: { digest, mediaType, bytes }, config, layers }
}

function descriptorOf(value: unknown, what: string): Descriptor {
  const { mediaType, digest, size } = isObject(value) ? value : {}
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || !DIGEST.test(digest))
    throw lie(`${what} has no media type or no sha256 digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw lie(`${what} has no size`)
  return { mediaType, digest, size }
}

/** Throws a `RuntimeError` of code `bad-image`. */
export function parseJsonObject(bytes: Buffer, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw lie(`${what} is no JSON`)
  }
  if (!isObject(value)) throw lie(`${what} is no JSON object`)
  return value
}

function objectsOf(value: unknown): Record<string, unknown>[] {
  if (!Array.isArray(value) || !value.every(isObject)) throw lie('the manifest does not list what it should')
  return value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function notFound({ host, repository }: RegistrySession, reference: string): RuntimeError {
  const separator = DIGEST.test(reference) ? '@' : ':'
  return new RuntimeError('image-missing', `${host} has no image ${repository}${separator}${reference}`)
}
