/** Gives an image to a registry, with the very layers, configuration and manifest that it came with. */
import { readFile } from 'node:fs/promises'
import { createExchange } from '../registry/exchange.ts'
import { pushBlob, pushManifest } from '../registry/push.ts'
import { type RegistryConfig, registryEndpoints } from '../registry/registry-config.ts'
import { createSession, type RegistrySession } from '../registry/registry-session.ts'
import { type PushOptions } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { type HeldImage, holdBlobs } from './held-blobs.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'
import type { ImageReference } from './reference.ts'

export interface PushRequest extends Omit<PushOptions, 'to'> {
  name: string
  image: StoredImage
  to: ImageReference
  config: RegistryConfig
  signal: AbortSignal
}

const LAYERS_AT_A_TIME = 3

/**
 * Uploads what the registry does not have, the manifest last, so that a tag never names what is not whole. Mirrors are
 * asked for nothing. Resolves with the manifest's digest.
 */
export async function pushImage(files: ImageFiles, request: PushRequest): Promise<string> {
  const { to, signal } = request
  if (to.digest !== undefined)
    throw new RuntimeError('invalid-name', `a tag to push to was expected, found the digest ${to.digest}`)
  await using work = await files.makeWork()
  const held = await holdBlobs(files, request, work.path)
  using exchange = createExchange()
  const session = await openSession(exchange, request)
  const waiting = [held.config, ...held.layers]
  const upload = async (): Promise<void> => {
    for (let blob = waiting.shift(); blob; blob = waiting.shift()) {
      const sent = await pushBlob(session, blob, { file: held.fileOf(blob), signal })
      request.onProgress?.({ digest: blob.digest, bytes: blob.size, present: !sent })
    }
  }
  await Promise.all(Array.from({ length: LAYERS_AT_A_TIME }, upload))
  await pushManifest(session, to.tag ?? 'latest', { ...(await manifestOf(held)), signal })
  return held.manifest.digest
}

async function openSession(
  exchange: ReturnType<typeof createExchange>,
  { to, config, credentials }: PushRequest,
): Promise<RegistrySession> {
  const endpoint = (await registryEndpoints(to.registry, config)).find(({ isMirror }) => !isMirror)
  if (!endpoint) throw new RuntimeError('failed', `no way to ${to.registry} is configured`)
  const { repository } = to
  return createSession({
    exchange,
    endpoint,
    repository,
    credentials: (await credentials?.(endpoint.host, repository)) ?? [],
    trusted: true,
    actions: 'pull,push',
  })
}

async function manifestOf({ manifest, fileOf, made }: HeldImage): Promise<{ bytes: string; mediaType: string }> {
  return { bytes: made ?? (await readFile(fileOf(manifest), 'utf8')), mediaType: manifest.mediaType }
}
