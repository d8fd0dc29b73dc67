/**
 * A list as its client takes it: no more of it is in the process than a piece or two, however long it is, and between
 * pieces others have their turns. Whole, one of a hundred megabytes would hold everybody up for a second, and fifty of them
 * at once would be all memory there is.
 */
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'

/** A TLS connection keeps as much memory as the most that was ever given to it at once, until it ends. */
export const SLICE_BYTES = 64 << 10

export function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES)
}

export interface StreamPiecesOptions {
  charset: 'utf8' | 'latin1'
  gzip: boolean
  /** Waited for before each piece is made. */
  turn(): Promise<void> | undefined
  /** After so long, ms, it is given up. */
  stalledMs: number
}

/** Settles when the answer is over, whoever ended it. Rejects where a piece cannot be made. */
export async function streamPieces(
  response: ServerResponse,
  pieces: Iterable<string | Buffer>,
  { charset, gzip, turn, stalledMs }: StreamPiecesOptions,
): Promise<void> {
  let failure: unknown
  async function* made(): AsyncGenerator<Buffer> {
    try {
      for (const piece of pieces) {
        yield* slices(typeof piece === 'string' ? Buffer.from(piece, charset) : piece)
        await turn()
      }
    } catch (error) {
      failure = error
      throw error
    }
  }
  const timer = setTimeout(() => response.destroy(), stalledMs).unref()
  response.once('close', () => clearTimeout(timer))
  try {
    if (gzip) await pipeline(made, createGzip({ level: constants.Z_BEST_SPEED }), response)
    else await pipeline(made, response)
  } catch {
    response.destroy()
    // Else the client is gone.
    if (failure) throw failure
  }
}
