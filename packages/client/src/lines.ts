import { TransportError } from './transport-error.ts'

const NEWLINE = 0x0a

/**
 * The lines of a stream of bytes, decoded one whole line at a time, so that a character which is split between two
 * chunks stays whole. A line longer than `limit` bytes is an error, as is a last one without its end.
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>, limit: number): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let pending = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (pending + end - from > limit) throw tooLong(limit)
      if (pending === 0) yield chunk.toString('utf8', from, end)
      else {
        parts.push(chunk.subarray(from, end))
        const line = Buffer.concat(parts).toString('utf8')
        parts = []
        pending = 0
        yield line
      }
      from = end + 1
    }
    if (from < chunk.length) {
      parts.push(chunk.subarray(from))
      pending += chunk.length - from
      if (pending > limit) throw tooLong(limit)
    }
  }
  if (pending > 0) throw new TransportError('lost', 'the stream ended in the middle of a line')
}

function tooLong(limit: number): TransportError {
  return new TransportError('too-large', `a line of the stream is longer than the ${limit} bytes that are accepted`)
}
