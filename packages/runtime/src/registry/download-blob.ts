import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { lie, TransientFailure } from './registry-failure.ts'
import type { RegistrySession } from './registry-session.ts'
import type { Descriptor } from './remote-image.ts'

export interface DownloadOptions {
  /** Is made, and holds the whole blob when this resolves. */
  file: string
  signal: AbortSignal
  /** Told of all bytes that are there so far. */
  onBytes?: (bytes: number) => void
}

/**
 * Downloads a blob, going on where a broken connection left off. Its length and digest are checked as it comes.
 * @throws RuntimeError `bad-image` where it is longer than its descriptor says, or another one
 */
export async function downloadBlob(
  session: RegistrySession,
  { digest, size }: Descriptor,
  { file, signal, onBytes }: DownloadOptions,
): Promise<void> {
  await using target = await open(file, 'wx', 0o600)
  let hash = createHash('sha256')
  let received = 0
  let before = 0
  await session.read(
    `blobs/${digest}`,
    {
      signal,
      headers: () => (received > 0 ? { range: `bytes=${received}-` } : {}),
      progressed: () => received > before,
    },
    async (answer) => {
      before = received
      const { host } = answer.url
      if (answer.status !== 200 && answer.status !== 206) {
        answer.discard()
        throw lie(`${host} has not the blob ${digest} of the image (status ${answer.status})`)
      }
      if (received > 0 && answer.status === 200) {
        // It does not know of ranges: from the beginning.
        received = 0
        hash = createHash('sha256')
        await target.truncate(0)
      } else if (answer.status === 206 && !startsAt(answer.headers['content-range'], received)) {
        answer.discard()
        throw lie(`${host} gave another range of the blob ${digest} than it was asked for`)
      }
      for await (const chunk of answer.body) {
        if (received + chunk.length > size)
          throw lie(`the blob ${digest} is longer than the ${size} bytes it should have`)
        hash.update(chunk)
        await writeAt(target, chunk, received)
        received += chunk.length
        onBytes?.(received)
      }
      if (received < size)
        throw new TransientFailure(`${host} sent ${received} of the ${size} bytes of ${digest}`, { answered: true })
    },
  )
  const found = `sha256:${hash.digest('hex')}`
  if (found !== digest) throw lie(`the blob ${digest} has the digest ${found}: the registry gave something else`)
}

async function writeAt(target: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await target.write(chunk, at, chunk.length - at, position + at)
    at += bytesWritten
  }
}

function startsAt(contentRange: string | undefined, offset: number): boolean {
  return /^bytes (\d+)-/.exec(contentRange ?? '')?.[1] === String(offset)
}
