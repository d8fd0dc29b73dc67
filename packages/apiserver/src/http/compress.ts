/** Large answers go out compressed to clients that take it, by kube-apiserver's rule. */
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'

/** An answer of this many bytes is still sent as it is. */
const LONGEST_PLAIN = 128 * 1024

const compressOffThread = promisify(gzip)

/** @param header the request's Accept-Encoding; `gzip` alone is looked for, without regard to qualities */
export function isCompressed(header: string | string[] | undefined, bytes: number): boolean {
  if (bytes <= LONGEST_PLAIN || typeof header !== 'string') return false
  return header.split(',').some((token) => token.trim() === 'gzip')
}

/** On a thread of libuv's pool: the event loop gives the bytes and takes the result. The fastest level, as there. */
export function compress(body: string | Buffer): Promise<Buffer> {
  return compressOffThread(body, { level: constants.Z_BEST_SPEED })
}
