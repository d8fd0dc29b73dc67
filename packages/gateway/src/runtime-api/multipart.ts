/** The one file of a `multipart/form-data` body, as a stream: however large it is, nothing of it is held. */
import { Readable } from 'node:stream'

export interface FilePart {
  /** As it was sent; empty where there was none. */
  filename: string
  /** Fails where the body ends before it does. */
  content: Readable
}

/** A body that is none of the kind. */
export class MultipartError extends Error {
  override readonly name = 'MultipartError'
  readonly code = 'MULTIPART'
}

const HEAD_LIMIT = 16 * 1024
const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Finds the part of the given name; those before it are skipped, those behind it never read.
 *
 * @throws MultipartError where there is none
 */
export async function filePart(body: AsyncIterable<Buffer>, contentType: string, name: string): Promise<FilePart> {
  const boundary = boundaryOf(contentType)
  if (boundary === undefined) throw new MultipartError('the Content-Type has to be multipart/form-data with a boundary')
  const reader = createReader(body)
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  // The first delimiter may stand at the very beginning.
  reader.putBack(CRLF)
  await drain(reader.until(delimiter))
  for (;;) {
    // Two dashes behind a delimiter end the body, anything else ends with the line.
    const rest = await reader.take(2)
    if (rest.equals(Buffer.from('--')))
      throw new MultipartError(`multipart body is missing the required "${name}" part`)
    reader.putBack(rest)
    const head = await headOf(reader)
    const content = reader.until(delimiter)
    if (head.name === name) return { filename: head.filename, content: Readable.from(content, { objectMode: false }) }
    await drain(content)
  }
}

function boundaryOf(contentType: string): string | undefined {
  if (!/^multipart\/form-data\s*;/i.test(contentType)) return undefined
  const { quoted, plain } =
    /;\s*boundary=(?:"(?<quoted>[^"]{1,70})"|(?<plain>[^\s;"]{1,70}))/i.exec(contentType)?.groups ?? {}
  return quoted ?? plain
}

async function headOf(reader: Reader): Promise<{ name: string | undefined; filename: string }> {
  let head = ''
  for await (const chunk of reader.until(HEAD_END)) {
    head += chunk.toString('utf8')
    if (head.length > HEAD_LIMIT) throw new MultipartError(`the head of a part is longer than ${HEAD_LIMIT} characters`)
  }
  const disposition = /^content-disposition:(?<value>.*)$/im.exec(head)?.groups?.['value'] ?? ''
  return { name: parameter(disposition, 'name'), filename: parameter(disposition, 'filename') ?? '' }
}

/** Of a header such as `form-data; name="file"; filename="a \\"b\\""`, or in the form of RFC 5987. */
function parameter(header: string, name: string): string | undefined {
  const encoded = new RegExp(`;\\s*${name}\\*=utf-8'[^']*'(?<value>[^;\\s]*)`, 'i').exec(header)?.groups?.['value']
  if (encoded !== undefined) {
    try {
      return decodeURIComponent(encoded)
    } catch {
      throw new MultipartError(`the ${name} of a part is not UTF-8`)
    }
  }
  const { quoted, plain } =
    new RegExp(`;\\s*${name}=(?:"(?<quoted>(?:[^"\\\\]|\\\\.)*)"|(?<plain>[^\\s;"]*))`, 'i').exec(header)?.groups ?? {}
  return quoted?.replaceAll(/\\(["\\])/g, '$1') ?? plain
}

async function drain(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of chunks);
}

interface Reader {
  /** What comes before the delimiter, which is read over. Throws a MultipartError where it does not come. */
  until(delimiter: Buffer): AsyncGenerator<Buffer, void>
  take(length: number): Promise<Buffer>
  putBack(chunk: Buffer): void
}

function createReader(body: AsyncIterable<Buffer>): Reader {
  const source = body[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)

  async function more(): Promise<void> {
    const next = await source.next()
    if (next.done) throw new MultipartError('the multipart body ends in the middle of a part')
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value])
  }

  return {
    async *until(delimiter) {
      for (;;) {
        const at = held.indexOf(delimiter)
        if (at >= 0) {
          const before = held.subarray(0, at)
          held = held.subarray(at + delimiter.length)
          if (before.length > 0) yield before
          return
        }
        // The delimiter may have begun at the end of what is held.
        const safe = held.length - (delimiter.length - 1)
        if (safe > 0) {
          const before = held.subarray(0, safe)
          held = held.subarray(safe)
          yield before
        }
        await more()
      }
    },
    async take(length) {
      while (held.length < length) await more()
      const taken = held.subarray(0, length)
      held = held.subarray(length)
      return taken
    },
    putBack(chunk) {
      held = Buffer.concat([chunk, held])
    },
  }
}
