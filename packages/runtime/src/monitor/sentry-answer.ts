/** How the answers of a sentry are told apart: JSON objects one behind the other, without a frame around them. */

/** Bytes; the longest that is expected is a list of processes, some 200 each. */
export const LONGEST_ANSWER = 4 * 1024 * 1024
/** Characters of what a sentry says of a failure. */
const LONGEST_COMPLAINT = 4096

const BEGIN = 0x7b
const END = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c

export type SentryAnswer =
  | { success: true; result: unknown }
  /** What the sentry says of a failure, cut at 4,096 characters. */
  | { success: false; complaint: string }

export interface AnswerReader {
  /**
   * Takes the next piece of what a sentry writes, never an empty one, and gives the answer that is whole with it; what
   * follows that in the same piece is dropped, since nobody has asked for it. Throws where it is none, or longer than
   * 4 MiB.
   */
  push(piece: Buffer): SentryAnswer | undefined
}

/**
 * Looks at each byte once, however small the pieces are in which a sentry writes, and parses what is whole: a sentry that
 * was taken over chooses both, and all sandboxes of the machine share the thread.
 */
export function createAnswerReader(): AnswerReader {
  let bytes = Buffer.allocUnsafe(1024)
  let size = 0
  let depth = 0
  let inString = false
  let escaped = false

  /** Whether the answer ends with this byte. */
  function endsWith(byte: number): boolean {
    if (escaped) escaped = false
    else if (byte === QUOTE) inString = !inString
    else if (inString) escaped = byte === BACKSLASH
    else if (byte === BEGIN) depth++
    else if (byte === END) return --depth === 0
    return false
  }

  /** The index behind the answer's end, or -1 where that is not in this piece. */
  function endIn(piece: Buffer): number {
    for (let at = 0; at < piece.length; at++) if (endsWith(piece[at] ?? 0)) return at + 1
    return -1
  }

  function keep(part: Buffer): void {
    const needed = size + part.length
    if (needed > LONGEST_ANSWER) throw new Error('the sentry answers without an end')
    if (needed > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * bytes.length))
      bytes.copy(larger, 0, 0, size)
      bytes = larger
    }
    size += part.copy(bytes, size)
  }

  return {
    push(piece) {
      if (size === 0 && piece[0] !== BEGIN) throw new Error('the sentry answers what is no object')
      const end = endIn(piece)
      keep(end < 0 ? piece : piece.subarray(0, end))
      if (end < 0) return undefined
      const answer = parseAnswer(bytes.toString('utf8', 0, size))
      bytes = Buffer.allocUnsafe(1024)
      size = 0
      return answer
    },
  }
}

function parseAnswer(text: string): SentryAnswer {
  const { success, err, result } = JSON.parse(text) as Record<string, unknown>
  if (success === true) return { success, result }
  return { success: false, complaint: typeof err === 'string' ? err.slice(0, LONGEST_COMPLAINT) : 'the sentry refused' }
}
