import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

const READ_AT_ONCE = 1024 * 1024

/** `sha256:` and the digest of a file. */
export async function fileDigest(path: string): Promise<string> {
  await using file = await open(path, 'r')
  return await digest(file, { hasEnded: () => true, grown: () => Promise.resolve() })
}

/** Disposing of it gives up. */
export interface GrowingDigest extends AsyncDisposable {
  /** Nothing is written to the file any more: resolves with the digest of all that is in it. */
  end(): Promise<string>
}

/** The digest of a file that somebody else writes, from its beginning to its end and nowhere twice, as it grows. */
export async function digestGrowing(path: string): Promise<GrowingDigest> {
  const file = await open(path, 'r')
  let growth = Promise.withResolvers<void>()
  const watcher = watchGrowth(path, () => growth.resolve())
  let ended = false
  const digested = digest(file, {
    hasEnded: () => ended,
    async grown() {
      await growth.promise
      growth = Promise.withResolvers()
    },
  })
  // Whoever waits for it hears of a failure, at the end.
  digested.catch(() => {})
  const end = (): Promise<string> => {
    ended = true
    growth.resolve()
    return digested
  }
  return {
    end,
    async [Symbol.asyncDispose]() {
      await end().catch(() => {})
      watcher?.close()
      await file.close()
    },
  }
}

/** Where the machine has no watches left it is not known that there is more until the end. */
function watchGrowth(path: string, onGrowth: () => void): FSWatcher | undefined {
  try {
    return watch(path, { persistent: false }, onGrowth).on('error', () => {})
  } catch {
    return undefined
  }
}

interface Source {
  hasEnded(): boolean
  /** Resolves when there may be more than there was. */
  grown(): Promise<void>
}

async function digest(file: FileHandle, { hasEnded, grown }: Source): Promise<string> {
  const hash = createHash('sha256')
  const fill = async (buffer: Buffer): Promise<{ bytes: Buffer; isLast: boolean }> => {
    // Before it is read: what comes in between is read the next time.
    const isLast = hasEnded()
    return { bytes: buffer.subarray(0, (await file.read(buffer)).bytesRead), isLast }
  }
  // One is filled while the other is looked at; a stream with new ones for all of it takes twice as long.
  let [used, other] = [Buffer.allocUnsafe(READ_AT_ONCE), Buffer.allocUnsafe(READ_AT_ONCE)]
  for (let next = fill(used); ; ) {
    const { bytes, isLast } = await next
    if (bytes.length > 0) {
      ;[used, other] = [other, used]
      next = fill(used)
      hash.update(bytes)
      continue
    }
    if (isLast) return `sha256:${hash.digest('hex')}`
    await grown()
    next = fill(used)
  }
}
