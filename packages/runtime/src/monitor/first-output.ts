/**
 * What a process writes before anybody is attached, for the one client that will be. A command of a few milliseconds is
 * over before its client has reached it.
 */
export interface FirstOutput extends Disposable {
  /** @returns false where enough is kept: read no further until `onFree` */
  add(stream: 'stdout' | 'stderr', chunk: Buffer): boolean
  /** The process has ended: the little that is still in its pipes may come. */
  unbound(): void
  /** Whether nobody has had it yet. */
  waits(): boolean
  /** Everything so far, once; undefined where somebody has had it, or nobody came for it in time. */
  take(): Array<{ stream: 'stdout' | 'stderr'; chunk: Buffer }> | undefined
}

// As much as a pipe holds: to the process it is a reader that is slow.
const LIMIT = 64 * 1024
// Whoever wants the output comes at once. A process that nobody attaches to must not be held up for ever.
const PATIENCE_MS = 30_000

/** @param onFree reading may go on */
export function createFirstOutput(onFree: () => void): FirstOutput {
  let kept: Array<{ stream: 'stdout' | 'stderr'; chunk: Buffer }> | undefined = []
  let bytes = 0
  let limit = LIMIT
  let patience: NodeJS.Timeout | undefined

  function take(): typeof kept {
    clearTimeout(patience)
    const taken = kept
    kept = undefined
    if (taken) onFree()
    return taken
  }

  return {
    take,
    waits: () => kept !== undefined,
    add(stream, chunk) {
      if (!kept) return true
      kept.push({ stream, chunk })
      bytes += chunk.length
      if (bytes < limit) return true
      patience ??= setTimeout(take, PATIENCE_MS)
      return false
    },
    unbound() {
      clearTimeout(patience)
      limit = Infinity
      onFree()
    },
    [Symbol.dispose]: () => clearTimeout(patience),
  }
}
