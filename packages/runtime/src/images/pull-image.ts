/** Gets an image from its registry: what is missing is downloaded, several layers at a time, and unpacked in order. */
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { downloadBlob } from '../registry/download-blob.ts'
import { createExchange, type Exchange, type ExchangeLimits } from '../registry/exchange.ts'
import { type RegistryConfig, type RegistryEndpoint, registryEndpoints } from '../registry/registry-config.ts'
import { lie } from '../registry/registry-failure.ts'
import { createSession, type RegistrySession } from '../registry/registry-session.ts'
import {
  currentDigest,
  type Descriptor,
  parseJsonObject,
  type RemoteImage,
  resolveImage,
} from '../registry/remote-image.ts'
import { type MarkedCredential, type PullOptions } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { freeBytes, type Grant, type ImageFiles, noRoom, type StoredImage } from './image-files.ts'
import { hasLayers, hasWholeBlobs, isIntact } from './intact-blob.ts'
import { checkConfig, type ImageConfig, parseConfig } from './manifest.ts'
import { formatReference, type ImageReference, repositoryOf } from './reference.ts'
import { type UnpackLimits, unpackImage } from './unpack-image.ts'

export interface PullRequest extends PullOptions {
  reference: ImageReference
  config: RegistryConfig
  limits: UnpackLimits
  exchangeLimits?: ExchangeLimits | undefined
  /** Networks of the cluster's Pods and Services: only who may pull from this machine itself may pull from there. */
  clusterRanges?: readonly string[] | undefined
  signal: AbortSignal
}

const LAYERS_AT_A_TIME = 3
/** A mirror that does not answer must not cost more than it saves. */
const MIRROR_MS = 3_000
const LARGEST_CONFIG = 8 * 1024 * 1024

/** Resolves with whether the registry had something that was not here. Whatever it leaves half done is removed. */
export async function pullImage(files: ImageFiles, request: PullRequest): Promise<{ id: string; isNew: boolean }> {
  using exchange = createExchange({ limits: request.exchangeLimits, clusterRanges: request.clusterRanges })
  const { reference, config } = request
  let failure: unknown
  // A mirror is there to help: whatever is wrong with it, the registry itself is asked.
  for (const endpoint of await registryEndpoints(reference.registry, config)) {
    const { session, credentials } = await openSession(exchange, endpoint, request)
    try {
      const patience = endpoint.isMirror
        ? Math.min(request.reachWithinMs ?? MIRROR_MS, MIRROR_MS)
        : request.reachWithinMs
      const deadline = patience === undefined ? undefined : performance.now() + patience
      return await pullFrom(files, { ...request, session, credentials, deadline })
    } catch (error) {
      if (!(error instanceof RuntimeError) || request.signal.aborted) throw error
      failure = mostTelling(failure, error)
    }
  }
  throw failure
}

/** The last one is the registry's own, unless only a mirror has answered at all. */
function mostTelling(before: unknown, last: RuntimeError): unknown {
  return last.code === 'registry-unreachable' && before !== undefined ? before : last
}

async function openSession(
  exchange: Exchange,
  endpoint: RegistryEndpoint,
  { reference, credentials: source, trusted }: PullRequest,
): Promise<{ session: RegistrySession; credentials: readonly MarkedCredential[] }> {
  const { repository } = reference
  const credentials = (await source?.(endpoint.host, repository)) ?? []
  const session = createSession({
    exchange,
    endpoint,
    repository,
    credentials,
    trusted: trusted ?? false,
    actions: 'pull',
  })
  return { session, credentials }
}

interface PullContext extends Omit<PullRequest, 'credentials'> {
  session: RegistrySession
  credentials: readonly MarkedCredential[]
  deadline: number | undefined
}

async function pullFrom(files: ImageFiles, context: PullContext): Promise<{ id: string; isNew: boolean }> {
  const { reference, session, signal } = context
  const here = await allowedImages(files, context)
  const names = await files.readNames()
  const wanted = reference.digest ?? reference.tag ?? 'latest'
  const options = { signal, deadline: context.deadline }
  const digest = reference.digest ?? (await currentDigest(session, wanted, options))
  const known = digest === undefined ? undefined : names.get(formatReference(digestName(reference, digest)))
  const image = known === undefined ? undefined : here.get(known)
  // One of which something is missing is got again, as far as that is so.
  if (digest !== undefined && image && (await hasWholeBlobs(files, image))) {
    // The registry has just said so, with these credentials; a name with a digest says so itself, to nobody in particular.
    if (reference.digest !== undefined) await currentDigest(session, wanted, options)
    const { id } = image
    if (await nameImage(files, { context, id, digest })) return { id, isNew: false }
  }
  const remote = await resolveImage(session, digest ?? wanted, options)
  context.onProgress?.({ kind: 'resolved', digest: remote.digest, layers: remote.layers })
  return download(files, { context, remote, here })
}

/** Images of which whoever asks may see the content, and so may have found out that it is here. */
async function allowedImages(
  files: ImageFiles,
  { trusted, credentials }: Pick<PullContext, 'trusted' | 'credentials'>,
): Promise<Map<string, StoredImage>> {
  const marks = new Set(credentials.flatMap((credential) => credential.marks ?? []))
  const allowed = new Map<string, StoredImage>()
  for (const id of new Set((await files.readNames()).values())) {
    const image = await files.readImage(id)
    if (!image) continue
    const grants = Object.values(await files.readGrants(id))
    const isAllowed =
      trusted || !image.pulled || grants.some((grant) => grant === 'everyone' || grant.some((mark) => marks.has(mark)))
    if (isAllowed) allowed.set(id, image)
  }
  return allowed
}

/** False where it has gone meanwhile. */
async function nameImage(
  files: ImageFiles,
  { context, id, digest }: { context: PullContext; id: string; digest: string },
): Promise<boolean> {
  return files.add([
    { id, names: namesFor(context.reference, digest), ready: undefined, blobs: new Map(), grants: grantsFor(context) },
  ])
}

function namesFor(reference: ImageReference, digest: string): string[] {
  return [...new Set([formatReference(reference), formatReference(digestName(reference, digest))])]
}

function digestName({ registry, repository }: ImageReference, digest: string): ImageReference {
  return { registry, repository, tag: undefined, digest }
}

function grantsFor({ reference, session, trusted }: PullContext): Record<string, Grant> {
  const used = session.used as MarkedCredential | undefined
  const grant: Grant = trusted || used === undefined ? 'everyone' : (used.marks ?? [])
  return { [repositoryOf(reference)]: grant }
}

async function download(
  files: ImageFiles,
  { context, remote, here }: { context: PullContext; remote: RemoteImage; here: ReadonlyMap<string, StoredImage> },
): Promise<{ id: string; isNew: boolean }> {
  const { reference, limits } = context
  const total = remote.layers.reduce((sum, { size }) => sum + size, remote.config.size)
  if (total > limits.maxBytes || remote.config.size > LARGEST_CONFIG)
    throw lie(`the image has ${total} bytes, more than the ${limits.maxBytes} that are allowed`)
  const free = await freeBytes(files.directory)
  if (total > free) throw noRoom(total - free)
  await using work = await files.makeWork()
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  const blobs = await openBlobs(files, { context: { ...context, signal }, work: work.path, here })
  try {
    const { digest: id } = remote.config
    const file = await blobs.get(remote.config)
    const config = readConfig(await readFile(file), remote.layers.length)
    await writeFile(join(work.path, 'manifest'), remote.manifest.bytes, { mode: 0o600 })
    const { mediaType, digest: manifestDigest, bytes } = remote.manifest
    const stored = {
      config: remote.config,
      layers: remote.layers,
      manifest: { mediaType, digest: manifestDigest, size: bytes.length },
    }
    let ready: string | undefined
    for (;;) {
      // That whoever asks can have all of it from the registry entitles to what is here already. Other layers may be the
      // same ones compressed in another way, or those of a registry that knows no more than the configuration.
      if (ready === undefined && !(await hasLayers(files, id, remote.layers)))
        ready = await unpack(files, { id, config, blobs, stored, work: work.path, context: { ...context, signal } })
      else await Promise.all(remote.layers.map((layer) => blobs.get(layer)))
      const added = await files.add([
        {
          id,
          names: namesFor(reference, remote.digest),
          ready,
          blobs: new Map([...blobs.files(), [manifestDigest, join(work.path, 'manifest')]]),
          grants: grantsFor(context),
        },
      ])
      if (added) return { id, isNew: true }
    }
  } finally {
    stop.abort()
    await blobs.settled()
  }
}

function readConfig(bytes: Buffer, layers: number): ImageConfig {
  const config = parseConfig(parseJsonObject(bytes, 'the configuration'))
  checkConfig(config, layers)
  return config
}

async function unpack(
  files: ImageFiles,
  {
    id,
    config,
    blobs,
    stored,
    work,
    context,
  }: {
    id: string
    config: ImageConfig
    blobs: Blobs
    stored: NonNullable<StoredImage['blobs']>
    work: string
    context: PullContext
  },
): Promise<string> {
  const ready = join(work, id.slice('sha256:'.length))
  await mkdir(ready, { mode: 0o700 })
  await using unpacking = await unpackImage(ready, { limits: context.limits, signal: context.signal })
  // All of them begin now; while one is unpacked the next ones come.
  const coming = stored.layers.map((layer) => blobs.get(layer))
  for (const each of coming) each.catch(() => {})
  for (const [index, layer] of stored.layers.entries()) {
    await unpacking.apply({ file: (await coming[index]) ?? '', diffId: config.diffIds[index] ?? '' })
    context.onProgress?.({ kind: 'unpacked', digest: layer.digest })
  }
  await files.describe(ready, { ...unpacking.describe(id, config), pulled: true, blobs: stored })
  return ready
}

interface Blobs {
  /** The file with a blob: linked from the store where that is allowed and it is intact, else downloaded. The same one is got once. */
  get(descriptor: Descriptor): Promise<string>
  /** What was got so far, by digest. */
  files(): Map<string, string>
  settled(): Promise<void>
}

async function openBlobs(
  files: ImageFiles,
  { context, work, here }: { context: PullContext; work: string; here: ReadonlyMap<string, StoredImage> },
): Promise<Blobs> {
  const { session, signal, onProgress } = context
  const reusable = new Set<string>()
  for (const { blobs } of here.values())
    for (const { digest } of blobs ? [blobs.config, ...blobs.layers] : []) reusable.add(digest)
  const got = new Map<string, Promise<string>>()
  const done = new Map<string, string>()
  const waiting: Array<() => void> = []
  let running = 0

  async function turn(): Promise<Disposable> {
    if (running >= LAYERS_AT_A_TIME) await new Promise<void>((resolve) => waiting.push(resolve))
    running++
    return {
      [Symbol.dispose]() {
        running--
        waiting.shift()?.()
      },
    }
  }

  async function fetchOnce(descriptor: Descriptor): Promise<string> {
    const { digest } = descriptor
    const file = join(work, `blob-${digest.slice('sha256:'.length)}`)
    using _ = await turn()
    signal.throwIfAborted()
    if (reusable.has(digest) && (await linkedIntact(descriptor, file))) {
      onProgress?.({ kind: 'present', digest })
    } else {
      const onBytes = (bytes: number) => onProgress?.({ kind: 'download', digest, bytes })
      await downloadBlob(session, descriptor, { file, signal, onBytes })
    }
    done.set(digest, file)
    return file
  }

  async function linkedIntact(descriptor: Descriptor, file: string): Promise<boolean> {
    if (!(await linked(files.blobFile(descriptor.digest), file))) return false
    if (await isIntact(file, descriptor, signal)) return true
    await rm(file)
    return false
  }

  return {
    get(descriptor) {
      const known = got.get(descriptor.digest)
      if (known) return known
      const begun = fetchOnce(descriptor)
      got.set(descriptor.digest, begun)
      return begun
    },
    files: () => new Map(done),
    async settled() {
      await Promise.allSettled(got.values())
    },
  }
}

/** False where it is not there any more. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
