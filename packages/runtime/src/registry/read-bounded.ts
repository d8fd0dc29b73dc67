import type { Answer } from './exchange.ts'
import { lie } from './registry-failure.ts'

/** An answer's whole body. Throws a `RuntimeError` of code `bad-image` where it is longer than `most` bytes. */
export async function readBounded(answer: Answer, most: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of answer.body) {
    length += chunk.length
    if (length > most) throw lie(`${answer.url.host} sent more than the ${most} bytes that are allowed`)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
