import { createReadStream } from 'node:fs'
import { registryError } from './registry-failure.ts'
import type { RegistrySession } from './registry-session.ts'
import type { Descriptor } from './remote-image.ts'

/** Uploads a blob from a file, unless it is there. Resolves with whether it had to. */
export async function pushBlob(
  session: RegistrySession,
  { digest, size }: Descriptor,
  { file, signal }: { file: string; signal: AbortSignal },
): Promise<boolean> {
  const isThere = await session.read(`blobs/${digest}`, { method: 'HEAD', signal }, async (answer) => {
    answer.discard()
    return answer.status === 200
  })
  if (isThere) return false
  const place = await session.read('blobs/uploads/', { method: 'POST', signal }, async (answer) => {
    answer.discard()
    const location = URL.parse(answer.headers.location ?? '', answer.url)
    // What authenticates us to the registry is not for anybody else.
    if (answer.status !== 202 || location?.origin !== answer.url.origin)
      throw registryError('registry-refused', `${answer.url.host} takes no uploads (status ${answer.status})`)
    return location
  })
  place.searchParams.set('digest', digest)
  await session.read(
    place.href,
    {
      method: 'PUT',
      signal,
      headers: () => ({ 'content-type': 'application/octet-stream', 'content-length': String(size) }),
      body: () => createReadStream(file),
    },
    async (answer) => {
      answer.discard()
      if (answer.status !== 201)
        throw registryError(
          'registry-refused',
          `${answer.url.host} refused the blob ${digest} (status ${answer.status})`,
        )
    },
  )
  return true
}

/** Uploads a manifest under a tag or a digest. */
export async function pushManifest(
  session: RegistrySession,
  reference: string,
  { bytes, mediaType, signal }: { bytes: string; mediaType: string; signal: AbortSignal },
): Promise<void> {
  const request = { method: 'PUT' as const, signal, headers: () => ({ 'content-type': mediaType }), body: () => bytes }
  await session.read(`manifests/${reference}`, request, async (answer) => {
    answer.discard()
    if (answer.status !== 201)
      throw registryError('registry-refused', `${answer.url.host} refused the manifest (status ${answer.status})`)
  })
}
